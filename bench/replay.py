"""How fast replay proves: `make bench-replay`. No broker: a history is made in process, in files, and verified.

Attribution: observations of the benchmark's workload. Modulation: turns of one opening with two inline signals, a
signal beside it, and a closing. Per CPU second of one core; the verifier reads its records from files, as the command
does. Reading them from a broker comes first and is not in these figures.
"""

import argparse
import gc
import hashlib
import json
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from bench.workload import Workload, observations
from endocrine.agents.contract import Agent
from endocrine.agents.registry import ATTRIBUTION, MODULATION
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.journal import journal_record
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.process.malloc import keep_memory
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.logs import FileLog
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Report, Verifier, verified_topics

PARTITIONS = 4
BATCH = 2000
SIZES = Sizes()
APPENDED_MS = 1_765_000_000_000
"""Append time of the first record, after all event times: what lies ahead would be a dead letter."""
TARGETS = {"attribution": 50_000, "modulation": 5_000}
"""Observations, and turns, per second."""
SIGNALS = ("alignment_risk", "stress", "ambiguity", "urgency", "novelty", "trust")
Made = tuple[str, str, bytes]
"""Topic, key, value."""


def made_observations(count: int) -> Iterator[Made]:
    """Observations of 10,000 identities with four primitives each."""
    for _, value in observations(Workload("replay", 10_000, count)):
        yield "observations", value["identity_ref"], orjson.dumps(value)


def made_turns(count: int) -> Iterator[Made]:
    """Turns of 10,000 identities."""
    rng = random.Random(7)
    for number in range(count):
        who, ts = f"user-{rng.randrange(10_000):07d}", 1_760_000_000.0 + number * 0.5
        turn: dict[str, Any] = {"audit_id": f"turn-{number}", "identity": who}
        signals = [{"name": name, "level": round(rng.random(), 2)} for name in rng.sample(SIGNALS, 2)]
        opened = {"session_id": "s", "turn": number, "client": "bench", "prompt": "What now?", "signals": signals}
        signal = {"name": rng.choice(SIGNALS), "level": 0.5, "ttl_ms": 60_000, "source": "probe"}
        yield "signals", who, orjson.dumps({**signal, "identity": who, "ts": ts, "id": f"s{number}"})
        yield "interactions", who, orjson.dumps({"kind": "opened", **turn, **opened, "ts": ts, "id": f"o{number}"})
        closing = {"kind": "closed", **turn, "response": "This.", "ts": ts + 0.25, "id": f"c{number}"}
        yield "interactions", who, orjson.dumps(closing)


class Recorder:
    """Runs one agent over inputs and leaves on files what it would leave on topics."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self.logs = {
            (topic, n): FileLog(folder / f"{topic}-{n}.log") for topic in verified_topics() for n in range(PARTITIONS)
        }
        self._engine = Engine(agent, PARTITIONS, "bench", SIZES, simulated_seals())
        self._policy = shipped_policy()
        self._states: list[dict[str, bytes]] = [{} for _ in range(PARTITIONS)]
        self._watermarks: list[Any] = [{} for _ in range(PARTITIONS)]
        self._previous: list[str | None] = [None] * PARTITIONS
        self._numbers = [0] * PARTITIONS
        self._clock = APPENDED_MS
        self._recorded = RecordedSeals()

    def take(self, inputs: Iterable[Made]) -> None:
        """Batches of 2000, whichever topics they are from."""
        waiting: dict[int, list[tuple[str, Fetched]]] = defaultdict(list)
        rest = iter(inputs)
        while some := list(islice(rest, BATCH)):
            for topic, who, value in some:
                n = partition_of(who, PARTITIONS)
                waiting[n].append((topic, self._put(topic, n, who.encode(), value, ())))
            for n, records in waiting.items():
                if len(records) >= BATCH:
                    self._batch(n, records)
                    waiting[n] = []
        for n, records in waiting.items():
            if records:
                self._batch(n, records)

    def _batch(self, n: int, records: Sequence[tuple[str, Fetched]]) -> None:
        engine, states = self._engine, self._states[n]
        self._numbers[n] += 1
        done = engine.process(records, self._policy, states.get, self._watermarks[n], partition=n)
        self._watermarks[n] = done.watermarks
        keep(states, done.states)
        journal = journal_record(
            engine.agent.name,
            n,
            self._numbers[n],
            records,
            previous=self._previous[n],
            policy=self._policy.digest,
            version="bench",
            epoch=0,
            seals=engine.seals,
            forged=done.forged,
        )
        self._previous[n] = hashlib.sha256(journal.value or b"").hexdigest()
        common = engine.common_headers(self._policy, n, self._numbers[n])
        for out in [*done.rejected_or_rerouted, *done.outputs, journal]:
            self._put(out.topic, out.partition, out.key, out.value, (*out.own, *common) if out.derived else out.own)

    def _put(self, topic: str, n: int, key: bytes | None, value: bytes | None, headers: Any) -> Fetched:
        log = self.logs[topic, n]
        self._clock += 1
        raw = Fetched(n, len(log), self._clock, key, value, tuple(headers))
        log.extend(self._recorded.records(topic, [raw]))  # as the command reads a topic
        return raw


def measure(agent: Agent, inputs: Iterable[Made], folder: Path) -> tuple[Report, float, float, int]:
    """The report; CPU seconds of verifying: of the whole, and of its pass over the records there; dead letters."""
    recorder = Recorder(agent, folder)
    recorder.take(inputs)
    policy = shipped_policy()
    with (folder / "lanes").open("w+b") as index_file:
        indexed: list[float] = []
        verifier = Verifier(
            recorder.logs,
            {policy.digest: policy}.__getitem__,
            partitions=PARTITIONS,
            sizes=SIZES,
            index_file=index_file,
            progress=lambda unit: indexed.append(time.process_time()),
        )
        gc.collect()  # of what made the history
        begun = time.process_time()
        report = verifier.run([agent])
        dead = sum(len(log) for (topic, _), log in recorder.logs.items() if topic.endswith(".dlq"))
        return report, time.process_time() - begun, indexed[0] - begun, dead


def main() -> None:
    """Print a table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--observations", type=int, default=400_000)
    ask.add_argument("--turns", type=int, default=40_000)
    ask.add_argument("--output", type=Path, help="write the figures here, as JSON")
    given = ask.parse_args()
    keep_memory()  # as the command does
    found = {}
    for agent, count, inputs in (
        (ATTRIBUTION, given.observations, made_observations(given.observations)),
        (MODULATION, given.turns, made_turns(given.turns)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            report, seconds, indexing, dead = measure(agent, inputs, Path(folder))
        assert report.proved, dict(report.counts)
        assert report.equal == report.compared > 0
        assert not dead, f"{dead} inputs came out as dead letters"
        found[agent.name] = {
            "count": count,
            "per_second": round(count / seconds),
            "target": TARGETS[agent.name],
            "seconds": round(seconds, 2),
            "of_these_reading_what_stands": round(indexing, 2),
            "records_compared": report.compared,
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        what = "turns" if agent is MODULATION else "records"
        print(
            f"{agent.name:12} {count:>9,} {what}  {count / seconds:>9,.0f}/s (target {TARGETS[agent.name]:,}/s)  "
            f"{report.compared:,} compared, {seconds:.2f} CPU s, {indexing:.2f} s of them to index, "
            f"peak {found[agent.name]['peak_mb']} MB"
        )
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
