"""Memories: their lifecycle, one state per memory (memory, section 5)."""
