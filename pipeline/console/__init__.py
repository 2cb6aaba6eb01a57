"""Web pages for operators and auditors, at `/console` of the gateway."""
