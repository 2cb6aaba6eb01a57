"""Licences of what the project runs on: which are allowed, what is stated by hand, and the page docs/licences.md."""
