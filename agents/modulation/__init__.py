"""The modulation agent: signals and a turn in, parameters with their lineage out (rules, sections 1 and 2).

`agent.py` is the entry point; `homeostat.py` decides which signals are accepted, `activation.py` which of them count
for a turn, `risk.py` what is remembered of alignment_risk, `combine.py` what they make of the parameters, `holds.py`
whether the turn waits for a person, `turns.py` the record; `memory.py` is the state.
"""
