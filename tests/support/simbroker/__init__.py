"""A broker in memory, stepped effect by effect: deterministic simulation of the real runtime.

`broker` holds topics and compacted changelogs and is the port that units use; `schedule` runs random schedules of
crashes, zombies, compaction, lost commits and policy changes; `checks` compares the guarantees with what is left.
"""
