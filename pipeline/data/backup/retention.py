"""Which backups are kept: the newest of each of the newest days, Sundays and firsts of a month. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SAFETY = "-safety"
"""How names of safety backups end."""
SAFETY_DAYS = 7
"""Days for which a safety backup is never removed."""
_FORM = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"\d{8}T\d{6}Z(-safety)?")


class Retention(NamedTuple):
    """How many are kept of each kind."""

    daily: int = 7
    weekly: int = 4
    """Newest of each Sunday."""
    monthly: int = 6
    """Newest of each first of a month."""


def stamp_of(when: datetime, *, safety: bool = False) -> str:
    """Return the name of a backup made then.

    >>> stamp_of(datetime(2026, 4, 5, 12, tzinfo=UTC))
    '20260405T120000Z'
    """
    return when.astimezone(UTC).strftime(_FORM) + (SAFETY if safety else "")


def time_of(stamp: str) -> datetime | None:
    """Return when the backup of this name was made; None where it is no such name."""
    if not _NAME.fullmatch(stamp):
        return None
    try:
        return datetime.strptime(stamp.removesuffix(SAFETY), _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def kept(stamps: Iterable[str], retention: Retention, now: datetime) -> set[str]:
    """Return the names of those that are kept. stamps: of valid backups."""
    made = sorted(((when, stamp) for stamp in stamps if (when := time_of(stamp)) is not None), reverse=True)
    keep = {stamp for when, stamp in made if stamp.endswith(SAFETY) and now - when < timedelta(days=SAFETY_DAYS)}
    ordinary = [(when, stamp) for when, stamp in made if not stamp.endswith(SAFETY)]
    for most, wanted in (
        (retention.daily, lambda when: True),
        (retention.weekly, lambda when: when.isoweekday() == 7),
        (retention.monthly, lambda when: when.day == 1),
    ):
        newest: dict[object, str] = {}
        for when, stamp in ordinary:
            if wanted(when):
                newest.setdefault(when.date(), stamp)
        keep |= set(list(newest.values())[:most])
    return keep
