"""The tool gate: one answer to every tool call, with exactly one reason (rules, section 4)."""
