"""Reflection: what an answer says about memories, and what it may add to them (memory, section 5)."""
