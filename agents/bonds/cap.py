"""The daily message cap (rules, section 6): one function, used where turns are admitted and where they are counted."""

from typing import NamedTuple


class CapCheck(NamedTuple):
    """Answer for one message, before it is counted."""

    allowed: bool
    remaining: int | None
    """Messages left before this one; None: unlimited."""
    resets_at: float
    """Event time, seconds: the counter resets with the first message later than this."""
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    """Messages counted, after a reset if one was due."""
    reset_at: float
    """Event time of the last reset, this one included."""


def check_cap(cap: int, count: int, reset_at: float, ts: float, *, day_s: float) -> CapCheck:
    """Return whether a message at event time `ts` is within the cap. Counting it, if accepted, is up to the caller.

    cap: messages per day, 0 means unlimited. count, reset_at: the counter as stored. day_s: seconds; the counter
    resets when more than this passed since reset_at, so exactly one day later it does not.

    >>> check_cap(2, 1, 1000.0, 1060.0, day_s=86400.0)
    CapCheck(allowed=True, remaining=1, resets_at=87400.0, count=1, reset_at=1000.0)
    """
    if ts - reset_at > day_s:
        count, reset_at = 0, ts
    resets_at = reset_at + day_s
    if cap == 0:
        return CapCheck(True, None, resets_at, count, reset_at)
    return CapCheck(count < cap, max(0, cap - count), resets_at, count, reset_at)
