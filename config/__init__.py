"""Shipped configuration: YAML read once, validated whole, digested."""
