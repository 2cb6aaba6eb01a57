"""What replaces offsets that no record can be read from: one record, the same for every reader.

Its value is the first 64 KiB of what lies there (after a zero byte, where it does not begin with one). Its only header
names the offsets it replaces, how many bytes they take and their SHA-256. It passes through worker, journal and
replay like a record, and ends as a dead letter.
"""

import hashlib
from typing import Any

import orjson

from endocrine.pipeline.core.records import SourceRecord

UNREADABLE = "endocrine-unreadable"
"""JSON object: topic (as Kafka names it), partition, first_offset, last_offset, bytes, sha256, reason."""
KEPT_BYTES = 64 << 10


def replacement_of(
    topic: str, partition: int, first: int, last: int, content: bytes, reason: str
) -> tuple[bytes, bytes]:
    """Return value, and content of the header UNREADABLE, of the record that replaces `first` to `last` (inclusive)."""
    description = {
        "topic": topic,
        "partition": partition,
        "first_offset": first,
        "last_offset": last,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "reason": reason,
    }
    # A batch begins with a zero byte; the bytes of one record may be anything, even good JSON.
    begun = b"" if content[:1] == b"\0" else b"\0"
    return (begun + content)[:KEPT_BYTES], orjson.dumps(description)


def unreadable(raw: SourceRecord) -> dict[str, Any] | None:
    """Return the header's content, of a record that replaces what cannot be read; None of any other.

    A producer that imitates the header gains nothing: only what begins with a zero byte, and so is a dead letter by its
    bytes alone, counts.
    """
    if raw.key is not None or not raw.value or raw.value[0] != 0 or len(raw.headers) != 1:
        return None
    name, content = raw.headers[0]
    if name != UNREADABLE or content is None:
        return None
    try:
        description = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return description if isinstance(description, dict) else None
