"""Figures per tool over 24 hours of event time (rules, section 4)."""
