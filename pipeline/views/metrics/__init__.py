"""Metrics for Prometheus: one closed list, served on loopback when a port is set."""
