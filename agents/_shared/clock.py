"""The clock of one identity: event time as its records claim it, which never goes back (rules, section 10)."""


def forward(clock: float | None, ts: float) -> float:
    """Return the clock after a record of event time `ts`, in seconds. clock: None before the first record.

    >>> forward(None, 5.0), forward(5.0, 3.0), forward(5.0, 7.0)
    (5.0, 5.0, 7.0)
    """
    return ts if clock is None else max(clock, ts)
