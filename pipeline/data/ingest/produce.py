"""Sending records to Kafka: key, partition and headers as producers should set them."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.cloud_events import cloud_event
from endocrine.pipeline.core.records import CE_ID, Header
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.clients import content_keys
from endocrine.pipeline.process.settings import Settings

REQUEST_TIMEOUT_MS = 10_000
"""Milliseconds until a broker that does not answer is given up."""
LINGER_MS = 5
"""Milliseconds that records wait for company in a batch."""
IN_FLIGHT = 5_000
"""Records sent and not yet acknowledged; bounds memory."""

SOURCE = "endocrine/ingest"
"""CloudEvents source of records that this command makes."""

Line = Mapping[str, Any]
Lines = Iterable[Line] | AsyncIterable[Line]


class ProduceError(Exception):
    """The broker is away or does not take records. The message says what to do."""


async def produce(
    lines: Lines,
    settings: Settings,
    sent: Callable[[int], None] = lambda count: None,
    acknowledged: Callable[[Line], None] = lambda line: None,
) -> int:
    """Send lines `{"topic", "value", "key"?, "headers"?}` (topics without prefix) and wait for the broker to have them.

    The key is the identity unless the line has one, the partition Kafka's default for it (murmur2); headers as
    `message` makes them. `sent` is called with the number that went out, `acknowledged` with each line that the broker
    has, also where an error ends it. Returns the count. Raises ProduceError when the broker is not reachable, a topic
    is missing or a record not taken.
    """
    producer = connection.producer(
        settings,
        enable_idempotence=True,
        linger_ms=LINGER_MS,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        max_request_size=settings.topic_message_bytes,
    )
    try:
        await producer.start()
    except (KafkaError, OSError, ValueError) as error:
        await producer.stop()
        raise ProduceError(
            f"no Kafka broker answers at {settings.bootstrap}; start one (`endocrine run`), or name yours with"
            " --bootstrap or ENDOCRINE_BOOTSTRAP"
        ) from error
    keys = content_keys(settings)
    count = 0
    waiting: deque[tuple[Any, Line]] = deque()

    async def take_first() -> None:
        future, line = waiting[0]
        await future
        waiting.popleft()
        acknowledged(line)

    try:
        existing = await _topics(producer)
        async for line in _each(lines):
            topic = settings.prefix + line["topic"]
            if topic not in existing:
                # Producing would let a broker create it with a partition count of its own.
                raise ProduceError(
                    f"topic {topic} does not exist at {settings.bootstrap}; create it with `endocrine topics create`"
                )
            if keys is not None and isinstance(line["value"], dict):
                line_sent: Line = {**line, "value": await keys.closed(line["topic"], line["value"], producer)}
            else:
                line_sent = line
            key, value, headers = message(line_sent)
            waiting.append((await producer.send(topic, value, key=key, headers=headers), line))
            count += 1
            sent(count)
            while len(waiting) > IN_FLIGHT or (waiting and waiting[0][0].done()):
                await take_first()
        while waiting:
            await take_first()
    except KafkaError as error:
        raise ProduceError(
            f"the broker at {settings.bootstrap} did not take a record ({type(error).__name__}: {error}); "
            "what was sent before may have arrived: run the same again, ids are the same"
        ) from None
    finally:
        await producer.stop()  # sends what is still buffered
        if keys is not None:
            await keys.stop()
        for future, line in waiting:
            if future.done() and not future.cancelled() and future.exception() is None:
                acknowledged(line)
    return count


def message(line: Line, source: str = SOURCE) -> tuple[bytes, bytes, list[Header]]:
    """Return (key, value, headers) of a line, as bytes; source: the CloudEvents source of a line that names none.

    A record with an id gets all headers of a CloudEvent in binary mode; one without gets none of them, as a CloudEvent
    must have an id. Headers of the line win; where they make it a CloudEvent, what is missing is added.

    >>> message({"topic": "signals", "value": {"identity": "ann", "id": "s1"}})[0]
    b'ann'
    """
    topic, value, given = CATALOGUE[line["topic"]], line["value"], line.get("headers") or {}
    identity = value[topic.identity_field]
    key = line.get("key")
    headers: dict[str, bytes | None] = {"content-type": b"application/json"}
    if ce_id := value.get("id") or given.get(CE_ID):
        ts = value.get("ts")
        ts = float(ts) if isinstance(ts, int | float) and not isinstance(ts, bool) else None
        headers |= cloud_event(ce_id.encode(), source, topic.ce_type, (identity or "").encode(), ts)
    headers |= {name: text.encode() for name, text in given.items()}
    return (
        (identity if key is None else key).encode(),
        orjson.dumps(value),
        [*headers.items()],
    )


async def _topics(producer: AIOKafkaProducer) -> frozenset[str]:
    cluster = await producer.client.fetch_all_metadata()
    return frozenset(cluster.topics())


async def _each(lines: Lines) -> AsyncIterator[Mapping[str, Any]]:
    if isinstance(lines, AsyncIterable):
        async for line in lines:
            yield line
    else:
        for line in lines:
            yield line
