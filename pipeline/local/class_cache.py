"""Java's cache of Kafka's classes, loaded and linked ahead of time: with it Kafka starts in less than half the time.

Java 25 writes it when a process ends that was started for that ("training"), once for each Java and each set of jars.
It is an optimisation only: where it cannot be had, Kafka starts without.
"""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from endocrine.pipeline.local.cache import cache_folder
from endocrine.pipeline.local.jars import VARIABLE, digest, locked
from endocrine.pipeline.local.java import Java
from endocrine.pipeline.process.subprocesses import BrokerError

AT_LEAST = 25
"""Java version from which on one option writes the cache."""
WRITING_S = 180.0
"""Seconds that writing it may take; 10 on a machine that has nothing else to do."""
_PART = ".part-classes-"
_STALE_S = 3600.0
"""Seconds after which the folder of a training is that of one that was killed."""


def existing(runtime: Java) -> Path | None:
    """Return the cache for this Java and our jars, where it was made."""
    path = _path(runtime)
    return path if path.is_file() and path.stat().st_size else None


def wanted(runtime: Java) -> bool:
    """Return whether it can be made and was not tried yet. Not for jars of another folder: its paths are part of the
    cache."""
    return runtime.feature >= AT_LEAST and VARIABLE not in os.environ and not _path(runtime).exists()


async def train(runtime: Java) -> None:
    """Start a node in a folder of its own, use it a little, and end it: about 15 s. A failure is noted."""
    from endocrine.pipeline.local.kafka import KafkaNode

    path = _path(runtime)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{_PART}*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PART, dir=path.parent, ignore_cleanup_errors=True) as folder:
        made = Path(folder) / "classes"
        node = KafkaNode(Path(folder) / "node", heap="256m", java_options=[f"-XX:AOTCacheOutput={made}"])
        try:
            await node.start()
            await _use(node.bootstrap)
            await node.end_within(WRITING_S)
        except BrokerError:
            made.unlink(missing_ok=True)
        finally:
            node.kill()
        if not made.exists():
            made.touch()
        made.replace(path)


def _path(runtime: Java) -> Path:
    return cache_folder() / f"classes-{digest(locked())}-java-{runtime.version}"


async def _use(bootstrap: str) -> None:
    """What every run does: a topic is created, a record written and read."""
    from aiokafka import AIOKafkaProducer  # now: a start that has its cache is not to wait for the import
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    from endocrine.pipeline.kafka import clients
    from endocrine.pipeline.process.settings import Settings

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("training", 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait("training", b"x")
    finally:
        await producer.stop()
    consumer = clients.consumer(Settings(bootstrap=bootstrap), "training", group_id=None)
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            await consumer.getone()
    finally:
        await consumer.stop()
