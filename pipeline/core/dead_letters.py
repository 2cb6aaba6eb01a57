"""A dead letter: the record as it came, and why it was refused; cut where it is larger than its topic takes.

A dead letter is sealed like all that we write; its seal covers too whether the record it holds carried one, so that
the record can be sent again as what it was.
"""

import hashlib

from endocrine.pipeline.core.dead_letter_topics import dead_letters_of
from endocrine.pipeline.core.records import (
    CE_ID,
    CUT_SHORT,
    ERROR,
    ERROR_KIND,
    ORIGIN,
    REKEYED_FROM,
    SEAL,
    WAS_SEALED,
    Header,
    OutputRecord,
    SourceRecord,
)
from endocrine.pipeline.core.seals import Seals, covered_topic
from endocrine.pipeline.core.sizes import EXCERPT_BYTES, Sizes, headers_bytes, record_bytes

REPLACED = frozenset((ERROR, ERROR_KIND, ORIGIN, SEAL, CUT_SHORT, WAS_SEALED))
"""Headers of ours that a dead letter has itself: what the record held under these names is not kept."""
MESSAGE_CHARS = 2000


def dead_letter(
    agent: str, topic: str, raw: SourceRecord, kind: str, message: str, *, seals: Seals, sealed: bool, sizes: Sizes
) -> OutputRecord:
    """Return the dead letter of a record. topic: its own, without prefix. sealed: the record carried a seal of ours."""
    place = f"{topic}/{raw.partition}/{raw.offset}"
    written: list[Header] = [
        (ERROR, message[:MESSAGE_CHARS].encode("utf-8", "replace")),
        (ERROR_KIND, kind.encode()),
        (ORIGIN, f"{agent}/{place}/0".encode()),
    ]
    target = dead_letters_of(topic)
    own = [(name, content) for name, content in raw.headers if name not in REPLACED]
    key, value, kept = raw.key, raw.value, own
    if headers_bytes(own) > sizes.headers:
        kept = _within(own, sizes.headers)
    whole = record_bytes(key, value, [*kept, *written]) <= sizes.room(target)
    if not whole:
        key, value = _excerpt(key), _excerpt(value)
    if not whole or kept is not own:
        written.append((CUT_SHORT, _lengths(raw, own)))
    elif sealed:  # what was cut short is no record of ours any more
        written.append((WAS_SEALED, b"true"))
    own_headers = dict(kept)
    ids = (own_headers.get(CE_ID), written[2][1], own_headers.get(REKEYED_FROM))
    covered = covered_topic(target, dict(written))
    written.append((SEAL, seals.seal(covered, raw.partition, key, value, *ids)))
    return OutputRecord(target, raw.partition, key, value, (*kept, *written), False)


def _within(headers: list[Header], most: int) -> list[Header]:
    """The headers that fit, in their order: one too large is left out, and smaller ones after it are kept."""
    kept, left = [], most
    for header in headers:
        size = headers_bytes([header])
        if size <= left:
            kept.append(header)
            left -= size
    return kept


def _excerpt(part: bytes | None) -> bytes | None:
    return None if part is None else part[:EXCERPT_BYTES]


def _lengths(raw: SourceRecord, own: list[Header]) -> bytes:
    key, value = len(raw.key or b""), len(raw.value or b"")
    digest = hashlib.sha256(raw.value or b"").hexdigest()
    return (
        f"key {key} bytes, value {value} bytes, {len(own)} headers {headers_bytes(own)} bytes; "
        f"value sha256 {digest}; at most {EXCERPT_BYTES} bytes of each are here"
    ).encode()
