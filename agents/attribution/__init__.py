"""Attribution: one of five states per (identity, primitive), from BEHAVE observations (rules 5).

`values` reads a value, `series` keeps the bounded memory, `mergers` judge it, `agent` ties them together. The result is
probabilistic and about opaque identities; it is advice for people and reaches neither the modulation nor the gate.
"""
