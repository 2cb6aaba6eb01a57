"""Times as a person writes them on a command line. Every command that takes a time reads it here.

By the broker's append time, unless a command names another time: what the system knew then.
"""

import time
from datetime import UTC, date, datetime, timedelta

EXPECTED = "ISO 8601 (2026-03-01T14:05, 2026-03-01T14:05:30+01:00; without a zone: UTC), seconds since 1970, or now"
"""What a time may look like, for help texts and errors."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_S = 253_402_300_800.0
"""The year 10000: no later time is taken, and milliseconds written for seconds are found out."""


def parse_time(text: str, now: float | None = None) -> float:
    """Return seconds since 1970-01-01 UTC, from 0 to the year 10000. Raises ValueError with a sentence that names the
    text.

    now: what `now` means; by default the clock's time.

    >>> parse_time("1970-01-02"), parse_time("1970-01-01T01:00+01:00"), parse_time("12.5")
    (86400.0, 0.0, 12.5)
    """
    given = text.strip()
    if given == "now":
        return time.time() if now is None else now
    if len(given) == 8 and given.isascii() and given.isdigit():
        raise ValueError(f"{text!r} may be a date or seconds; write a date with dashes. Expected {EXPECTED}")
    try:
        seconds = _number(given)
        if seconds is None:
            seconds = _written(given)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; expected {EXPECTED}") from None
    if not 0 <= seconds < LATEST_S:
        raise ValueError(f"{text!r} lies outside the years 1970 to 9999; expected {EXPECTED} (not milliseconds)")
    return seconds


def show_time(seconds: float) -> str:
    """Return the time in UTC, to the millisecond: `2026-03-01T14:05:30.250Z`; parse_time reads it back."""
    # Counted in whole milliseconds: isoformat cuts off what a float lacks, and 0.751 would be shown as 0.750.
    when = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(given: str) -> float | None:
    # float() would also take "nan", "1_000" and "infinity": a slip of the hand, not a time.
    digits = given.removeprefix("-").replace(".", "", 1)
    return float(given) if digits.isascii() and digits.isdigit() else None


def _written(given: str) -> float:
    if "T" not in given and " " not in given:
        day = date.fromisoformat(given)
        return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    when = datetime.fromisoformat(given)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
