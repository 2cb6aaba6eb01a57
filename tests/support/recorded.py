"""A history that agents have read and answered, as it would be on topics: made in process, with no broker."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.encryption import Keys, closed
from endocrine.pipeline.core.journal import journal_record
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched, OutputRecord
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.replay.logs import FileLog
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.verify import verified_topics

PARTITIONS = 2
SIZES = Sizes()
VERSION = "test"
Logs = dict[tuple[str, int], list[Fetched]]


class Recording:
    """Topics as lists. Every record is appended a second after the one before it, and not before its own `ts`."""

    def __init__(self, keys: Keys | None = None) -> None:
        self.keys = keys
        self.logs: Logs = {(topic, n): [] for topic in verified_topics() for n in range(PARTITIONS)}
        self.clock_ms = 1_000_000
        self.states: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.watermarks: dict[str, Any] = defaultdict(dict)
        self.next_offsets: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.batches: dict[str, int] = defaultdict(int)
        self.previous: dict[str, str | None] = defaultdict(lambda: None)

    def put(self, topic: str, n: int, key: bytes | None, value: bytes | None, headers: Iterable[Any] = ()) -> None:
        """Append a record."""
        self.clock_ms += 1000
        log = self.logs[topic, n]
        log.append(Fetched(n, len(log), self.clock_ms, key, value, tuple(headers)))

    def feed(self, lines: Iterable[Any]) -> None:
        """Inputs, as `simulate` reads them."""
        for line in lines:
            topic, key, value, *_ = parse_line(orjson.dumps(line))
            ts = line["value"].get("ts") if isinstance(line.get("value"), dict) else None
            if isinstance(ts, float | int):
                self.clock_ms = max(self.clock_ms, round(ts * 1000))  # nobody writes long before it happens
            if self.keys is not None and key and isinstance(line["value"], dict):  # as doors do
                written, key_ids = closed(topic, key, line["value"], self.keys)
                for out in self.keys.unsaved(key_ids):
                    self.produce(out, ())
                value = orjson.dumps(written)
            self.put(topic, 0 if key is None else partition_of(key, PARTITIONS), key and key.encode(), value)

    def publish(self, policy: Policy) -> None:
        """Put a policy on record."""
        record = {"digest": policy.digest, "policy": policy.resolved, "previous": None, "by": "test", "ts": 1.0}
        n = partition_of(policy.digest, PARTITIONS)
        key, value = policy.digest.encode(), orjson.dumps(record)
        seal = simulated_seals().seal("policies", n, key, value, key)
        self.put("policies", n, key, value, [("ce_id", key), ("endocrine-seal", seal)])

    def run(self, policy: Policy, how_many: Callable[[], int]) -> None:
        """Every unit reads all there is, so many records of a topic at once, until nothing more comes."""
        engines = [Engine(agent, PARTITIONS, VERSION, SIZES, simulated_seals(), keys=self.keys) for agent in AGENTS]
        busy = True
        while busy:
            busy = False
            for engine in engines:
                for n in range(PARTITIONS):
                    busy = self._batch(engine, n, policy, how_many) or busy

    def _batch(self, engine: Engine, n: int, policy: Policy, how_many: Callable[[], int]) -> bool:
        processor, records = f"{engine.agent.name}/{n}", []
        next_offsets, states = self.next_offsets[processor], self.states[processor]
        for topic in engine.agent.sources:
            some = self.logs[topic, n][next_offsets[topic] : next_offsets[topic] + how_many()]
            records += [(topic, raw) for raw in some]
            next_offsets[topic] += len(some)
        if not records:
            return any(next_offsets[topic] < len(self.logs[topic, n]) for topic in engine.agent.sources)
        self.batches[processor] += 1
        done = engine.process(records, policy, states.get, self.watermarks[processor], partition=n)
        self.watermarks[processor] = done.watermarks
        keep(states, done.states)
        journal = journal_record(
            engine.agent.name,
            n,
            self.batches[processor],
            records,
            previous=self.previous[processor],
            policy=policy.digest,
            version=VERSION,
            epoch=0,
            seals=engine.seals,
            forged=done.forged,
            keys=done.key_ids,
            unreadable=done.unreadable,
        )
        self.previous[processor] = hashlib.sha256(journal.value or b"").hexdigest()
        common = engine.common_headers(policy, n, self.batches[processor])
        for out in [*done.rejected_or_rerouted, *done.outputs, journal]:
            self.produce(out, common)
        return True

    def produce(self, out: OutputRecord, common: Any) -> None:
        """Append what an agent says."""
        self.put(out.topic, out.partition, out.key, out.value, (*out.own, *common) if out.derived else out.own)


def randomly(seed: int, most: int = 40) -> Callable[[], int]:
    """Batches of any size."""
    rng = random.Random(seed)
    return lambda: rng.randint(0, most)


def filed(logs: Logs, folder: Path) -> dict[tuple[str, int], FileLog]:
    """The same topics in files of this folder."""
    found = {}
    for (topic, n), log in prepared(logs, RecordedSeals()).items():
        found[topic, n] = FileLog(folder / f"{topic}-{n}.log")
        found[topic, n].extend(log)
    return found
