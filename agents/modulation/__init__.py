"""The modulation agent: signals and a turn in, parameters with their lineage out (rules, sections 1 and 2).

`agent.py` is the entry point. `homeostat.py` decides which signals are accepted, `active_signals.py` which of them
count for a turn, `risk.py` the state of alignment_risk, `combine.py` what they make of the parameters,
`holds.py` whether the turn waits for a person, `modulation_records.py` the record. `stored.py` is the state,
`memory.py` its working copy.
"""
