"""The rows of the gateway, a module for each kind: each has `ROUTES`, a list of `Row`."""
