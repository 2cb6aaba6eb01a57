"""A bare echo, for latency: every tool call comes back on the topic of decisions, as it is."""

import asyncio

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.competitors.job import read_job


async def run() -> None:
    """Fetch, send."""
    job = read_job()
    consumer = AIOKafkaConsumer(
        f"{job.prefix}tool-calls", bootstrap_servers=job.bootstrap, group_id=job.group, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap, acks="all")
    await consumer.start()
    await producer.start()
    unanswered: set[asyncio.Future[object]] = set()
    async for record in consumer:
        sent = await producer.send(f"{job.prefix}tool-decisions", record.value, key=record.key)
        unanswered.add(sent)
        sent.add_done_callback(unanswered.discard)


if __name__ == "__main__":
    uvloop.run(run())
