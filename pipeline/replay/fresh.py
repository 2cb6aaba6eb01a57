"""The records that were made again, on fresh topics: for comparing with other tools, never beside the live ones."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgpack

from endocrine.pipeline.core.records import SEAL, Header, Headers
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.admin import TopicsError, ensure_topics
from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.serialized import SerializedOutput, unpacked

_PREFIX = re.compile(r"[a-z0-9._-]+")


class RecordSink:
    """Records made again, in a file until all are made."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def __call__(self, output: SerializedOutput) -> None:
        """Keep one record."""
        self._file.write(msgpack.packb(output))
        self.count += 1

    def __iter__(self) -> Iterator[Any]:
        """topic, partition, key, value, headers of each, in the order made."""
        self._file.seek(0)
        for (topic, partition), serialized in msgpack.Unpacker(self._file, use_list=False):
            yield topic, partition, *unpacked(serialized)


async def prepare(settings: Settings, prefix: str) -> Settings:
    """Create the catalogue under a prefix that has no topics yet; settings to write there. Raises TopicsError."""
    if not _PREFIX.fullmatch(prefix):
        raise TopicsError(f"--to-topics {prefix!r}: no prefix; expected letters a-z, digits and . _ - such as 'again.'")
    fresh = settings.model_copy(update={"prefix": prefix})
    wanted = {topic.name for topic in physical_topics(fresh, [])}
    live = {topic.name for topic in physical_topics(settings, [])}
    admin = admin_client(settings)
    await admin.start()
    try:
        there = sorted(wanted & (live | set(await admin.list_topics())))
    finally:
        await admin.close()
    if there:
        raise TopicsError(
            f"--to-topics {prefix!r}: {len(there)} of its topics exist ({', '.join(there[:3])}); "
            "what is made again goes to fresh topics only: give another prefix, or delete them"
        )
    await ensure_topics(fresh, [])
    return fresh


async def write(fresh: Settings, kept: RecordSink) -> None:
    """Write all of them, in the order made, each on its partition."""
    producer = connection.producer(
        fresh,
        acks="all",
        enable_idempotence=True,
        max_request_size=2 * fresh.topic_message_bytes,
        linger_ms=20,
    )
    await producer.start()
    try:
        sent = []
        for topic, partition, key, value, headers in kept:
            sent.append(
                await producer.send(
                    fresh.prefix + topic, value, key=key, partition=partition, headers=_unsealed(headers)
                )
            )
            if len(sent) >= 1000:
                for future in sent:
                    await future
                sent.clear()
        for future in sent:
            await future
    finally:
        await producer.stop()


def _unsealed(headers: Headers) -> list[Header]:
    """Without the seal: it was for a topic of another name, and nobody goes by what is written here."""
    return [header for header in headers if header[0] != SEAL]
