"""Every byte that our worker writes, with the leanest aiokafka code and no logic: what was recorded (bench.recorded)
is written when as many inputs have been read.

Of a batch, the changelog's records are one batch that is awaited, then come outputs and journal; partitions do not wait
for each other. Variant `fold`: each input is also parsed, validated and folded, for nothing.
"""

import asyncio
import gc
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.competitors.job import Job, fold, read_job
from bench.recorded import CHANGELOG, Batch, Step, recorded

BATCH_BYTES = 16 << 20


class Partition:
    """One partition: what is to be written, and how far its inputs have been read."""

    def __init__(self, number: int, steps: list[Step], outputs: AIOKafkaProducer, changelog: AIOKafkaProducer) -> None:
        self._number, self._steps = number, steps
        self._outputs, self._changelog = outputs, changelog
        self._read, self._news = 0, asyncio.Event()

    def arrive(self, offset: int) -> None:
        """Inputs up to this offset (exclusive) have been read."""
        self._read = offset
        self._news.set()

    async def run(self, prefix: str) -> None:
        """Write step after step."""
        sent: list[Any] = []
        for upto, batches in self._steps:
            while self._read < upto:
                self._news.clear()
                await self._news.wait()
            for batch in batches:
                if batch[0] == CHANGELOG:
                    await (await self._send(self._changelog, batch, prefix))
                    for future in sent:
                        await future
                    sent.clear()
                else:
                    sent.append(await self._send(self._outputs, batch, prefix))
            batches.clear()
        await asyncio.gather(*sent)

    async def _send(self, producer: AIOKafkaProducer, batch: Batch, prefix: str) -> Any:
        topic, records = batch
        building = producer.create_batch()
        append = building.append
        for key, value, headers in records:
            append(key=key, value=value, timestamp=None, headers=headers)
        building.close()
        return await producer.send_batch(building, prefix + topic, partition=self._number)


def producer_of(job: Job) -> AIOKafkaProducer:
    """As our worker's, two of which it has."""
    return AIOKafkaProducer(
        bootstrap_servers=job.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=BATCH_BYTES + (1 << 20),
        compression_type=job.codec,
    )


async def run() -> None:
    """Fetch, count, write."""
    job = read_job()
    outputs, changelog = producer_of(job), producer_of(job)
    consumer = AIOKafkaConsumer(
        job.source, bootstrap_servers=job.bootstrap, group_id=job.group, auto_offset_reset="earliest"
    )
    places = [
        Partition(number, recorded(Path(job.recorded), number), outputs, changelog) for number in range(job.partitions)
    ]
    gc.collect()
    gc.freeze()  # what is to be written is no garbage, however often it is looked at
    await asyncio.gather(outputs.start(), changelog.start(), consumer.start())
    writing = [asyncio.create_task(place.run(job.prefix)) for place in places]
    states: dict[str, Any] = {}
    while True:
        for place, records in (await consumer.getmany(timeout_ms=1000)).items():
            if job.variant == "fold":
                for record in records:
                    observation = orjson.loads(record.value)
                    key = f"{observation['identity_ref']}/{observation['primitive']}"
                    states[key], _ = fold(states.get(key), observation)
            places[place.partition].arrive(records[-1].offset + 1)
            await asyncio.sleep(0)
        for task in writing:
            if task.done():
                task.result()


if __name__ == "__main__":
    uvloop.run(run())
