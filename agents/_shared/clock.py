"""The clock of one identity: event time that never goes back (rules, section 10)."""


def forward(clock: float | None, ts: float) -> float:
    """Return the clock after a record with this event time, both in seconds; None: there was no record before.

    >>> forward(None, 5.0), forward(9.0, 5.0), forward(9.0, 12.0)
    (5.0, 9.0, 12.0)
    """
    return ts if clock is None else max(clock, ts)


def bounded(ts: float, appended: float | None, ahead_s: float) -> float:
    """Return the event time, at most `ahead_s` seconds after the broker's append time where that is known.

    A window of that length gains at most one more window by times that are claimed ahead.

    >>> bounded(500.0, 300.0, 60.0), bounded(310.0, 300.0, 60.0), bounded(500.0, None, 60.0)
    (360.0, 310.0, 500.0)
    """
    return ts if appended is None else min(ts, appended + ahead_s)
