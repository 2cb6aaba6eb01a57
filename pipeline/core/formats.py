"""Versions of everything that is kept in bytes of our own making, in one table.

Each kind carries its version in its bytes. This build writes one version of it and reads that and the one before; what
it does not know it refuses, and never guesses at. So that workers of two releases can share a group, a release reads a
new version before another one writes it (docs/upgrades.md).
"""

from typing import NamedTuple


class Format(NamedTuple):
    """One kind of bytes."""

    name: str
    writes: int
    reads: tuple[int, ...]
    """All versions that are read, ascending; the written one among them."""
    where: str
    """Where they lie, and where in them the version is; for the table in docs/upgrades.md."""


class UnknownFormat(ValueError):
    """Bytes of a version that this build does not read. The message names key, kind, version and what is read."""


CHECKPOINT = Format("checkpoint", 2, (1, 2), "changelog topics, key `h`: first element")
OUTBOX = Format("outbox", 1, (1,), "changelog topics, keys `o...`: first byte")
STATE = Format("state", 1, (1,), "changelog topics, keys `s...`: bare JSON is 1; later ones begin with a 0 byte and it")
JOURNAL = Format("journal record", 1, (1,), "topic `journal`: header `ce_type`, `endocrine.journal.v1`")
SNAPSHOT = Format("snapshot", 1, (1,), "`manifest.json` of a snapshot or backup: `form`")
FORMATS = (CHECKPOINT, OUTBOX, STATE, JOURNAL, SNAPSHOT)


def readable(kind: Format) -> str:
    """Return the versions that are read, for people.

    >>> readable(CHECKPOINT), readable(OUTBOX)
    ('1 and 2', '1')
    """
    *before, last = map(str, kind.reads)
    return f"{', '.join(before)} and {last}" if before else last


def refusal(kind: Format, found: object, key: str | None = None) -> UnknownFormat:
    """Return the error for a version that is not read. key: of the record, where it has one of ours.

    >>> str(refusal(CHECKPOINT, 9, "h"))
    'key h: checkpoint of version 9; this build reads 1 and 2. Nothing was changed: start the version that wrote it'
    """
    named = "" if key is None else f"key {key}: "
    return UnknownFormat(
        f"{named}{kind.name} of version {found}; this build reads {readable(kind)}. Nothing was changed: start the "
        "version that wrote it"
    )
