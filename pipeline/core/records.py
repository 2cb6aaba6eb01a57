"""Records as bytes: what was fetched, and what is to be produced."""

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from math import floor
from typing import NamedTuple, Protocol

Header = tuple[str, bytes | None]
"""Name and content. Kafka allows null as content: under a name of ours it is as good as none, and it is passed on."""
Headers = Sequence[Header]

CE_ID = "ce_id"
TRACEPARENT = "traceparent"
ORIGIN = "endocrine-origin"
"""`agent/topic/partition/offset/ordinal`: who wrote this, because of which record, the index of this output."""
CUT = "endocrine-cut"
"""`agent/partition/batch`: the batch this was decided in."""
POLICY = "endocrine-policy"
VERSION = "endocrine-version"
REKEYED_FROM = "endocrine-rekeyed-from"
"""`topic/partition/offset` of a misrouted record's first copy."""
SEAL = "endocrine-seal"
"""`key id:digest`: proof that a worker or connector of ours wrote the record (endocrine.pipeline.core.seals)."""
OURS = "endocrine-"
"""Names of headers that begin so are ours: without a valid seal they are ignored and never copied on."""
ERROR = "endocrine-error"
ERROR_KIND = "endocrine-error-kind"
WAS_SEALED = "endocrine-was-sealed"
"""On a dead letter: the record that it holds carried a seal of ours."""
CUT_SHORT = "endocrine-cut-short"
"""On a dead letter that does not hold the whole record: lengths and SHA-256 of what was refused."""


def texts(headers: Headers) -> dict[str, str]:
    """Return headers that say something, as text; of several of one name the last counts, as everywhere."""
    return {name: content.decode("utf-8", "replace") for name, content in dict(headers).items() if content is not None}


LONGEST_ID = 256
"""Characters of an id (endocrine.schemas.base.Id)."""


def id_of(content: bytes | None) -> str | None:
    """Return the id that a header `ce_id` gives; None where it is null or empty.

    One that is longer than ids may be, or no UTF-8, is named by its digest: copies of it still share it.

    >>> id_of(b"c1"), id_of(b""), id_of(bytes([255]))
    ('c1', None, 'sha256-a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89')
    """
    if not content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or len(text) > LONGEST_ID:
        return f"sha256-{hashlib.sha256(content).hexdigest()}"
    return text


_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(content: bytes) -> bool:
    """Return whether a header `traceparent` is one of W3C Trace Context; others are ignored."""
    return len(content) == 55 and _TRACEPARENT.fullmatch(content) is not None


class SourceRecord(Protocol):
    """A record as fetched; aiokafka's ConsumerRecord is one."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970: the broker's append time; negative where no broker gave one."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


def stored_value(raw: SourceRecord) -> bytes | None:
    """Return a record's value as it lies on the topic: readers may have it with its content in clear."""
    return getattr(raw, "stored", None) or raw.value


class Fetched(NamedTuple):
    """A Raw of our own making, for brokers in memory."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class OutputRecord(NamedTuple):
    """A record to be produced. Its headers are `own` followed by the batch's common ones where `derived`."""

    topic: str
    """Without prefix."""
    partition: int
    key: bytes | None
    value: bytes | None
    own: Headers
    derived: bool


_UNIX_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = (1 - _UNIX_EPOCH, date.max.toordinal() - _UNIX_EPOCH)


@lru_cache(maxsize=4096)
def _second(second: int) -> str | None:
    day, rest = divmod(second, 86_400)
    if not _DAYS[0] <= day <= _DAYS[1]:
        return None
    return f"{date.fromordinal(_UNIX_EPOCH + day)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}."


def event_time(ts: float) -> str | None:
    """Return RFC 3339 of seconds since 1970, for `ce_time`, to the microsecond; None outside the years 1 to 9999.

    By hand: every derived record has one, and datetime's way costs as much as deciding what to say.

    >>> event_time(1714000000.25)
    '2024-04-24T23:06:40.250000Z'
    """
    try:
        second = floor(ts)
    except (OverflowError, ValueError):  # infinite, or NaN
        return None
    micros = round((ts - second) * 1_000_000)
    if micros == 1_000_000:
        second, micros = second + 1, 0
    begun = _second(second)
    return None if begun is None else f"{begun}{str(1_000_000 + micros)[1:]}Z"  # twice as fast as :06d
