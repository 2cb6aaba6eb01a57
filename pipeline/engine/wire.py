"""Records as bytes: what was fetched, and what is to be spoken."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]

CE_ID = "ce_id"
TRACEPARENT = "traceparent"
ORIGIN = "endocrine-origin"
"""`agent/topic/partition/offset/ordinal`: who wrote this, because of which record, as its how-manieth output."""
CUT = "endocrine-cut"
"""`agent/partition/batch`: the batch this was decided in."""
POLICY = "endocrine-policy"
VERSION = "endocrine-version"
REKEYED_FROM = "endocrine-rekeyed-from"
"""`topic/partition/offset` of a misfit's first copy."""
ERROR = "endocrine-error"
ERROR_KIND = "endocrine-error-kind"


class Raw(Protocol):
    """A record as fetched; aiokafka's ConsumerRecord is one."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970: the broker's append time."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Fetched(NamedTuple):
    """A Raw of our own making, for brokers in memory."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outgoing(NamedTuple):
    """A record to be spoken. Its headers are `own` followed by the batch's common ones where `derived`."""

    topic: str
    """Without prefix."""
    partition: int
    key: bytes | None
    value: bytes | None
    own: Headers
    derived: bool


def event_time(ts: float) -> str | None:
    """RFC 3339 of seconds since 1970, for `ce_time`; None outside the years 1 to 9999.

    >>> event_time(1714000000.25)
    '2024-04-24T23:06:40.250000Z'
    """
    try:
        return datetime.fromtimestamp(ts, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
