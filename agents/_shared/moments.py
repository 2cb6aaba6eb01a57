"""Event time as sentences for a person show it. Pure."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ts: float) -> str:
    """Return event time for a person, UTC, to the millisecond.

    >>> moment(1767258004.25)
    '2026-01-01 09:00:04.250 UTC'
    """
    return f"{(_EPOCH + timedelta(milliseconds=round(ts * 1000))).isoformat(' ', 'milliseconds')[:-6]} UTC"
