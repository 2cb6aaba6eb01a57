"""A durable echo, for latency: what was read is written to a changelog and awaited, then every tool call comes back.

The least that an answer costs which must not be forgotten: one awaited write for what one fetch brought of a partition.
"""

import asyncio
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.competitors.job import read_job


async def run() -> None:
    """Fetch, write, await, send."""
    job = read_job()
    consumer = AIOKafkaConsumer(
        f"{job.prefix}tool-calls", bootstrap_servers=job.bootstrap, group_id=job.group, auto_offset_reset="earliest"
    )
    changelog = AIOKafkaProducer(bootstrap_servers=job.bootstrap, acks="all", enable_idempotence=True, linger_ms=0)
    answers = AIOKafkaProducer(bootstrap_servers=job.bootstrap, acks="all", enable_idempotence=True, linger_ms=0)
    await asyncio.gather(consumer.start(), changelog.start(), answers.start())

    async def answer(place: TopicPartition, records: list[Any]) -> None:
        batch = changelog.create_batch()
        for record in records:
            batch.append(key=record.key, value=record.value, timestamp=None)
        batch.close()
        await (await changelog.send_batch(batch, f"{job.prefix}changelog.echo", partition=place.partition))
        for record in records:
            await answers.send(f"{job.prefix}tool-decisions", record.value, key=record.key)

    busy: dict[TopicPartition, asyncio.Task[None]] = {}
    while True:
        for place, records in (await consumer.getmany(timeout_ms=1000)).items():
            if place in busy:
                await busy[place]  # in order
            busy[place] = asyncio.create_task(answer(place, records))


if __name__ == "__main__":
    uvloop.run(run())
