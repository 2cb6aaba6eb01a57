"""The same fold in a bare aiokafka loop: state in a dict, lost when the process ends; offsets are committed."""

from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.competitors.job import fold, read_job


async def run() -> None:
    """Fetch, validate, fold, say, commit."""
    job = read_job()
    consumer = AIOKafkaConsumer(
        job.source,
        bootstrap_servers=job.bootstrap,
        group_id=job.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap, acks="all", compression_type=job.codec)
    states: dict[str, Any] = {}
    await consumer.start()
    await producer.start()
    while True:
        sent = []
        fetched = await consumer.getmany(timeout_ms=1000)
        for records in fetched.values():
            for record in records:
                observation = orjson.loads(record.value)
                key = f"{observation['identity_ref']}/{observation['primitive']}"
                states[key], changes = fold(states.get(key), observation)
                for change in changes:
                    sent.append(await producer.send(job.target, orjson.dumps(change), key=record.key))
        for future in sent:
            await future
        if fetched:
            await consumer.commit()


if __name__ == "__main__":
    uvloop.run(run())
