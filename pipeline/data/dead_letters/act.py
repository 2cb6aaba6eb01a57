"""Sending dead letters again, and setting them aside: what goes where."""

from collections.abc import AsyncIterable

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.cloud_events import cloud_event
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import (
    CE_ID,
    CUT_SHORT,
    ERROR,
    ERROR_KIND,
    ORIGIN,
    OURS,
    REKEYED_FROM,
    SEAL,
    WAS_SEALED,
    Headers,
    OutputRecord,
    SourceRecord,
    event_time,
)
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.data.dead_letters.letters import ACTIONS, Letter, own_id, parsed
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.dead_letters import DeadLetterAction

REDRIVEN_BY = "endocrine-redriven-by"
REDRIVEN_AT = "endocrine-redriven-at"
REDRIVEN_FROM = "endocrine-redriven-from"
"""`topic/partition/offset` of the dead letter."""
STRIPPED = frozenset(
    {ERROR, ERROR_KIND, ORIGIN, REKEYED_FROM, SEAL, WAS_SEALED, REDRIVEN_BY, REDRIVEN_AT, REDRIVEN_FROM}
)
"""Headers of a dead letter that its record is sent again without. With its origin, or the place it was re-keyed from,
readers would hold it against their watermarks and drop it as a copy of what they have read."""


class CutShort(Exception):
    """A dead letter does not hold the whole record, so it cannot be sent again. The message says where it lies."""


def again(letter: Letter, raw: SourceRecord, by: str, at: float, seals: Seals) -> OutputRecord:
    """Return the record as it is sent again: same bytes, key, partition and id. at: seconds since 1970.

    What was ours, as the dead letter's seal says, is sealed anew. Raises CutShort.
    """
    headers = dict(raw.headers)
    if CUT_SHORT in headers:
        place = "/".join(map(str, letter.origin)) if letter.origin else "its topic"
        raise CutShort(f"{letter.place} holds only the beginning of a record; the whole one lies at {place}")
    sealed = WAS_SEALED in headers and seals.valid(letter.topic, raw, headers)
    own = [
        (name, content)
        for name, content in raw.headers
        if name not in STRIPPED and (sealed or not name.startswith(OURS))
    ]
    if own_id(dict(own), parsed(raw.value)) is None:
        # At its new offset it would get a new id, and what follows from it other ids: it keeps its first.
        own = [*(header for header in own if header[0] != CE_ID), (CE_ID, letter.id.encode())]
    own += [
        (REDRIVEN_BY, by.encode()),
        (REDRIVEN_AT, (event_time(at) or "").encode()),
        (REDRIVEN_FROM, letter.place.encode()),
    ]
    topic = source_of(letter.topic)
    if sealed:
        own.append((SEAL, seals.seal(topic, raw.partition, raw.key, raw.value, dict(own).get(CE_ID))))
    return OutputRecord(topic, raw.partition, raw.key, raw.value, tuple(own), False)


def action_of(letter: Letter, action: str, by: str, reason: str | None, at: float) -> DeadLetterAction:
    """Return what is put on record. at: seconds since 1970."""
    origin = None if letter.origin is None else "/".join(map(str, letter.origin))
    return DeadLetterAction.model_validate(
        {
            "action": action,
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "origin": origin,
            "by": by,
            "reason": reason,
            "ts": at,
        }
    )


async def carry_out(settings: Settings, work: AsyncIterable[tuple[OutputRecord | None, DeadLetterAction]]) -> int:
    """Send each record where there is one, wait for the broker, then put on record what was done. Return their number.

    In that order: were it cut short in between, the record is sent and says by itself who sent it.
    """
    producer = connection.producer(
        settings,
        acks="all",
        enable_idempotence=True,
        max_request_size=2 * settings.topic_message_bytes,
    )
    await producer.start()
    done = 0
    try:
        async for out, action in work:
            if out is not None:
                await producer.send_and_wait(
                    settings.prefix + out.topic, out.value, key=out.key, partition=out.partition, headers=list(out.own)
                )
            key = f"{action.topic}/{action.partition}/{action.offset}"
            await producer.send_and_wait(
                settings.prefix + ACTIONS,
                orjson.dumps(action.model_dump()),
                key=key.encode(),
                partition=partition_of(key, settings.partitions),
                headers=_headers(key, action),
            )
            done += 1
        return done
    finally:
        await producer.stop()


def _headers(key: str, action: DeadLetterAction) -> Headers:
    ce_id = f"dlq/{key}/{action.action}/{action.ts}".encode()
    return cloud_event(ce_id, "endocrine/dlq", CATALOGUE[ACTIONS].ce_type, key.encode(), action.ts)
