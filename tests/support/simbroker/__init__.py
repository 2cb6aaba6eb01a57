"""A broker in memory, stepped effect by effect: deterministic simulation of the real runtime.

`broker` holds topics and compacted changelogs and is the port of the processors; `schedule` runs random schedules of
crashes, zombies, compaction, lost commits and policy changes; `checks` compares the end with the protocol.
"""
