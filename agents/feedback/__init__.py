"""Feedback cards: the style table and the drift alarm (rules, section 3)."""
