"""Erasing a subject: planned from the states of agents, carried out by commands, and accounted for in a receipt."""
