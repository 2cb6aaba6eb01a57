"""Trusted state: what operators state about a project or an identity, the highest authority (memory, section 3)."""
