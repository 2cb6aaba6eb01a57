"""Browsing a topic: bounded reads forward and back, filters, live tail, export."""
