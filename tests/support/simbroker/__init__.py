"""A broker in memory, stepped effect by effect: deterministic simulation of the real runtime.

`broker` holds topics and compacted changelogs and is the port that units speak to; `schedule` runs random schedules of
crashes, zombies, compaction, lost commits and policy changes; `checks` holds the claims against what is left.
"""
