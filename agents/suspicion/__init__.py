"""Suspicion: more than one actor behind one identity, when several primitives say so at once (rules 5)."""
