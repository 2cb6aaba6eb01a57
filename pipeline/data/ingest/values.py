"""JSON values as other programs write them: what kind they are, and times in every form that is met."""

import math
from datetime import UTC, datetime
from typing import Any

END_OF_TIME = 253_402_300_800.0
"""The year 10000 in seconds: what the schemas accept as event time lies before it."""
LEAST_MILLISECONDS = 100_000_000_000.0
"""A number from here on is taken for milliseconds (as seconds it would be the year 5138)."""
LEAST_MICROSECONDS = 1e15
"""A number from here on is taken for microseconds (as milliseconds it would be the year 33658)."""
LEAST_NANOSECONDS = 1e18
"""A number from here on is taken for nanoseconds."""


def kind_of(value: Any) -> str:
    """Name the kind of a JSON value, for messages.

    >>> kind_of(None), kind_of([]), kind_of(7)
    ('null', 'a list', 'a number')
    """
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def parse_time(value: Any) -> float | None:
    """Read seconds since 1970 UTC from seconds, milliseconds, microseconds, nanoseconds or ISO 8601 (no zone: UTC).

    None where it is no such time.

    >>> parse_time("2025-03-01T12:00:00.250Z"), parse_time(1740830400250), parse_time("soon")
    (1740830400.25, 1740830400.25, None)
    """
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip())
            value = parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            try:
                value = float(value) if value.isascii() else None
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    units = ((LEAST_NANOSECONDS, 1e9), (LEAST_MICROSECONDS, 1e6), (LEAST_MILLISECONDS, 1e3))
    per_second = next((per_second for least, per_second in units if value >= least), 1.0)
    try:
        seconds = float(value) / per_second
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < END_OF_TIME else None


def text_or_none(value: Any) -> str | None:
    """Return a non-empty string, or None for everything else."""
    return value if isinstance(value, str) and value else None


def object_or_empty(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one for everything else."""
    return value if isinstance(value, dict) else {}
