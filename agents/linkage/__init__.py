"""Which identities may be one actor's: advice, reversible, never a gate (memory, section 9)."""
