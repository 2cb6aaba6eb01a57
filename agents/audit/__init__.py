"""The audit: one bundle per turn that says what was decided, from what, and why."""
