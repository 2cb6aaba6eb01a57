"""Conflicts: values that disagree about one slot, and how they are ended (memory, section 6)."""
