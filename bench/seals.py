"""What seals cost: `make bench-seals`. The engine runs the same batches with seals and with a constant in their place.

In one run, taking turns, because the machine's speed changes from minute to minute. CPU time of the engine alone:
reading batches, checking, deciding, writing outputs; no broker. Attribution writes the cheapest records, modulation
dear ones; the gate reads sealed modulations and writes decisions.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from bench.replay import (
    APPENDED_MS,
    ATTRIBUTION,
    GATING,
    MODULATION,
    PARTITIONS,
    SIZES,
    Made,
    Recorder,
    made_observations,
    made_turns,
)
from endocrine.agents.contract import Agent
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import Seals, simulated_seals
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.recorded_seals import ConstantSeals

BATCH = 500
ROUNDS = 9
Records = Sequence[tuple[str, Fetched]]


class AllOurs(ConstantSeals):
    """Takes whatever carries a seal for ours, without a look at it."""

    def valid(self, topic: str, raw: Any, headers: Any) -> bool:
        """True."""
        return True


def records_of(inputs: Iterable[Made]) -> Iterator[tuple[str, Fetched]]:
    """Inputs as records, on their partitions."""
    for offset, (topic, who, value) in enumerate(inputs):
        yield topic, Fetched(partition_of(who, PARTITIONS), offset, APPENDED_MS + offset, who.encode(), value, ())


class RecordSink(Recorder):
    """A recorder that keeps the records as they are, seals included."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self.kept: list[tuple[str, Fetched]] = []
        super().__init__(agent, folder)

    def _put(self, topic: str, n: int, key: bytes | None, value: bytes | None, headers: Any) -> Fetched:
        raw = super()._put(topic, n, key, value, headers)
        self.kept.append((topic, raw))
        return raw


def gate_reads(count: int) -> list[tuple[str, Fetched]]:
    """Turns with the modulations that were made of them, sealed, and a call in each."""
    with TemporaryDirectory() as folder:
        recorder = RecordSink(MODULATION, Path(folder))
        recorder.take(made_turns(count))
        found = [(topic, raw) for topic, raw in recorder.kept if topic in ("interactions", "modulations")]
        found.sort(key=lambda pair: pair[1].timestamp)
        calls = []
        for topic, raw in found:
            calls.append((topic, raw))
            if topic == "modulations":
                value = orjson.loads(raw.value or b"{}")
                named = {name: value[name] for name in ("audit_id", "identity", "ts")} | {"id": f"call-{raw.offset}"}
                call = {**named, "call_id": f"c-{raw.offset}", "tool": "retrieve_knowledge", "step": 1}
                content = orjson.dumps({**call, "arguments": {"query": "tides"}})
                when = round(value["ts"] * 1000)  # of now: an old call is denied as stale
                calls.append(("tool-calls", raw._replace(value=content, headers=(), timestamp=when)))
        return calls


def seconds(agent: Agent, records: Records, seals: Seals) -> float:
    """CPU seconds that one engine per partition takes for all records."""
    engine, policy = Engine(agent, PARTITIONS, "bench", SIZES, seals), shipped_policy()
    spent = 0.0
    for n in range(PARTITIONS):
        own = [pair for pair in records if pair[1].partition == n]
        states: dict[str, bytes] = {}
        watermarks: Any = {}
        for start in range(0, len(own), BATCH):
            some = own[start : start + BATCH]
            begun = time.process_time()
            done = engine.process(some, policy, states.get, watermarks, partition=n)
            spent += time.process_time() - begun
            assert not done.tally.dead, "inputs came out as dead letters"
            watermarks = done.watermarks
            keep(states, done.states)
    return spent


def main() -> None:
    """Print a table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--count", type=int, default=20_000, help="observations; turns are a tenth of it")
    given = ask.parse_args()
    cases: list[tuple[Agent, Callable[[], list[tuple[str, Fetched]]]]] = [
        (ATTRIBUTION, lambda: list(records_of(made_observations(given.count)))),
        (MODULATION, lambda: list(records_of(made_turns(given.count // 10)))),
        (GATING, lambda: gate_reads(given.count // 10)),
    ]
    print(
        f"{'agent':12} {'records':>8} {'us/record':>10} {'without':>8} {'ratio':>6}   (lowest to highest of {ROUNDS})"
    )
    for agent, made in cases:
        records = made()
        ratios, with_seals, without = [], [], []
        for _ in range(ROUNDS):
            gc.collect()
            with_seals.append(seconds(agent, records, simulated_seals()))
            without.append(seconds(agent, records, AllOurs()))
            ratios.append(with_seals[-1] / without[-1])
        each = [1e6 * statistics.median(spent) / len(records) for spent in (with_seals, without)]
        spread = f"({min(ratios):.3f} to {max(ratios):.3f})"
        ratio = statistics.median(ratios)
        print(f"{agent.name:12} {len(records):8} {each[0]:10.2f} {each[1]:8.2f} {ratio:6.3f}   {spread}")


if __name__ == "__main__":
    main()
