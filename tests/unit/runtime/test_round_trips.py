"""How long batches wait for the broker, in round trips: on a clock that moves only when nothing can be done."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import orjson
import pytest

from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.runtime import partition_processor
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore
from endocrine.pipeline.runtime.worker.kafka_broker_port import KafkaBrokerPort

BATCHES, SIZE = 30, 20
REST = 0.15
"""Share of a batch's work after the agent: its journal record with a digest of all inputs, packing."""


class Clock(asyncio.SelectorEventLoop):
    """Time moves on to the next timer, and by what computing takes."""

    now = 0.0

    def time(self):
        return self.now

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


class OneTrip:
    """Answers everything after one round trip."""

    settings = SimpleNamespace(prefix="endocrine.", instance=None)
    client_id = "worker"

    def __init__(self):
        self.end = 1

    async def _trip(self):
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        loop.call_later(1, answered.set_result, None)
        await answered

    async def append(self, topic, partition, records):
        await self._trip()
        base, self.end = self.end, self.end + len(records)
        return base

    async def send(self, topic, partition, records, common):
        await self._trip()

    async def ends(self, places):
        return dict.fromkeys(places, BATCHES * SIZE)


@pytest.fixture
def clock():
    loop = Clock()
    yield loop
    loop.close()


async def trips_a_batch(clock, world, monkeypatch, work):
    """Time of a batch in round trips, with so many waiting. work: what computing it takes, in round trips."""

    @dataclass(frozen=True)
    class Slow(Engine):
        def process(self, *arguments, **options):
            clock.now += work * (1 - REST)
            return super().process(*arguments, **options)

    def journal_record(*arguments, **options):
        clock.now += work * REST
        return made(*arguments, **options)

    made = partition_processor.journal_record
    monkeypatch.setattr(partition_processor, "journal_record", journal_record)
    port = KafkaBrokerPort(OneTrip(), "echo", 0, ("in",), on_pressure=lambda high: None, buffer_bytes=1 << 30)
    toy = world.engine
    agent = SimpleNamespace(
        name="echo", sources=("in",), targets=("out",), key=toy.agent.key, process=toy.agent.process
    )
    engine = Slow(agent, 1, toy.version, toy.sizes, toy.seals, toy.catalogue)
    policy = SimpleNamespace(
        digest="0" * 64, canary=None, document=SimpleNamespace(time=SimpleNamespace(ahead_s=300.0))
    )
    processor = PartitionProcessor(
        engine, 0, port, MemoryStore(), lambda: policy, max_records=SIZE, max_bytes=1 << 20, ahead=1
    )
    processor.changelog.epoch, processor.changelog.next_offset = 0, 1
    values = [orjson.dumps({"id": f"a{n}", "identity": f"i{n}", "ts": 1.0}) for n in range(BATCHES * SIZE)]
    port.arrive("in", [Fetched(0, n, n, b"i%d" % n, value) for n, value in enumerate(values)], 0, len(values))
    for _ in range(BATCHES):
        await processor.step()
    await processor.stop()
    assert processor.tally.prepared == len(values)
    return clock.now / BATCHES


@pytest.mark.parametrize(
    ("work", "most"),
    [
        (0, 2.2),  # outputs and journal record, one after the other; the changelog meanwhile
        (4, 4.6),
        (8, 8.2),  # the core has something to do all the time
    ],
)
def test_a_batch_waits_for_no_more_round_trips_than_must_follow_each_other(clock, world, monkeypatch, work, most):
    assert work <= clock.run_until_complete(trips_a_batch(clock, world, monkeypatch, work)) <= most
