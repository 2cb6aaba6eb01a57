"""A unit with a durable store takes over from where the store stands, not from the beginning of its changelog."""

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, Entry
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore, RocksStore
from simbroker.broker import MemoryBroker, MemoryPort
from simbroker.toys import CATALOGUE, PARTITIONS, cast, policy, source_record


class Watched(MemoryPort):
    """A port that notes from where the changelog was read."""

    starts: list[int]

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        self.starts.append(start)
        async for entries in super().changelog(start, end):
            yield entries


def drive(life: Any) -> None:
    """Step a unit until it has nothing left to do."""
    idle = 0
    while idle < 5:
        idle += life.send(None) == "idle"


def processor(broker: MemoryBroker, store: Any, seed: int) -> tuple[PartitionProcessor, Watched]:
    agent = cast(fine=False)["x"]
    port = Watched(broker, f"x0.{seed}", "x", 0, agent.sources, random.Random(seed), unrest=0.0, faults=0.0)
    port.starts = []
    engine = Engine(agent, PARTITIONS, "sim", Sizes(), simulated_seals(), CATALOGUE)
    return PartitionProcessor(engine, 0, port, store, lambda: policy(0), max_records=4, max_bytes=1 << 20), port


def feed(broker: MemoryBroker, names: range) -> None:
    for n in names:
        for who in ("ann", "bob", "cy", "dee"):
            broker.append("input", source_record("s1", f"in{n}{who}", who, "o", "right"))


def test_a_takeover_with_a_durable_store_reads_only_the_rest_of_the_changelog(tmp_path: Path) -> None:
    broker = MemoryBroker()
    feed(broker, range(5))
    store = RocksStore(tmp_path / "x", max_age_s=1000)
    first, _ = processor(broker, store, 1)
    life = first.run()
    drive(life)
    life.close()
    remembered = dict(store)
    store.close()
    feed(broker, range(5, 8))
    store = RocksStore(tmp_path / "x", max_age_s=1000)
    assert dict(store) == remembered
    assert CHECKPOINT_KEY in remembered
    second, port = processor(broker, store, 2)
    life = second.run()
    drive(life)
    life.close()
    assert port.starts[0] > 1, "the changelog was read from its beginning"
    reference, _ = processor(broker, MemoryStore(), 3)
    life = reference.run()
    drive(life)
    life.close()
    assert dict(store).keys() == dict(reference.changelog._store).keys()
    assert {key: value for key, value in store.items() if key != CHECKPOINT_KEY} == {
        key: value for key, value in reference.changelog._store.items() if key != CHECKPOINT_KEY
    }
    store.close()


def test_a_store_that_is_ahead_of_its_changelog_is_thrown_away(tmp_path: Path) -> None:
    broker = MemoryBroker()
    feed(broker, range(3))
    store = RocksStore(tmp_path / "x", max_age_s=1000)
    store[b"sghost"] = b'[1,""]'
    store.flush(10_000, 9_000, set())
    mine, port = processor(broker, store, 1)
    life = mine.run()
    drive(life)
    life.close()
    assert port.starts[0] == 0
    assert b"sghost" not in store
    store.close()
