"""Connectors: what touches the world for the agents - a model, tools, the clock. Each runs effects (`effects.py`)."""
