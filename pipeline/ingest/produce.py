"""Sending records to Kafka: key, partition and headers as producers should set them."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.settings import Settings
from pipeline.topics import CATALOGUE

REQUEST_TIMEOUT_MS = 10_000
"""Milliseconds until a broker that does not answer is given up."""
LINGER_MS = 5
"""Milliseconds that records wait for company in a batch."""
IN_FLIGHT = 5_000
"""Records sent and not yet acknowledged; bounds memory."""

Lines = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]


class ProduceError(Exception):
    """The broker is away or does not take records. The message says what to do."""


async def produce(lines: Lines, settings: Settings, sent: Callable[[int], None] = lambda count: None) -> int:
    """Send lines `{"topic", "value", "key"?, "headers"?}` (topics without prefix) and wait for the broker to have them.

    The key is the identity unless the line has one, the partition Kafka's default for it (murmur2). Headers of the line
    are kept; `content-type` and, where the value has an id, `ce_id` are added. `sent` is told how many went out.
    Returns the count. Raises ProduceError when the broker is not reachable, a topic is missing or a record not taken.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
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
            f"no Kafka broker answers at {settings.bootstrap} ({error}); start one (`make run`, `make kafka`) or set "
            "ENDOCRINE_BOOTSTRAP to host:port of yours"
        ) from None
    count = 0
    try:
        existing = await _topics(producer)
        waiting: deque[Any] = deque()
        async for line in _each(lines):
            topic = settings.prefix + line["topic"]
            if topic not in existing:
                # Producing would let a broker create it with a partition count of its own.
                raise ProduceError(
                    f"topic {topic} does not exist at {settings.bootstrap}; create it with `endocrine topics create`"
                )
            key, value, headers = message(line)
            waiting.append(await producer.send(topic, value, key=key, headers=headers))
            count += 1
            sent(count)
            while len(waiting) > IN_FLIGHT or (waiting and waiting[0].done()):
                await waiting.popleft()
        for future in waiting:
            await future
    except KafkaError as error:
        raise ProduceError(
            f"the broker at {settings.bootstrap} did not take a record ({type(error).__name__}: {error}); "
            "what was sent before may have arrived: run the same again, ids are the same"
        ) from None
    finally:
        await producer.stop()
    return count


def message(line: Mapping[str, Any]) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """(key, value, headers) of a line, as bytes.

    >>> message({"topic": "signals", "value": {"identity": "ann", "id": "s1"}})[0]
    b'ann'
    """
    value = line["value"]
    key = line.get("key")
    if key is None:
        key = value[CATALOGUE[line["topic"]].identity_field]
    headers = {"content-type": "application/json"}
    if value.get("id"):
        headers["ce_id"] = value["id"]
    headers |= line.get("headers") or {}
    return key.encode(), orjson.dumps(value), [(name, text.encode()) for name, text in headers.items()]


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
