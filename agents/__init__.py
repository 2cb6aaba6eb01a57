"""The decisions: pure functions and state machines, one package per agent.

They import schemas only: no Faust, Kafka, Redis, clock, randomness or I/O. Time comes in records.
"""
