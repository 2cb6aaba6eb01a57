"""What a record costs a processor, with no broker: `make bench-processing`.

The whole path of a batch but Kafka: read, process, checkpoint, outbox and journal, over a port that keeps nothing. CPU
time of one process, microseconds a record, after a fifth of the records. Every round does the same work batch by batch,
and of each batch the fastest round counts: what else the machine does only ever makes one slower.

`--against CHECKOUT` measures another checkout of this repository (with an environment of its own in `.venv`) beside
this one, a process each, taking turns; and it compares, by a hash over all that left the processors, their bytes.
"""

import argparse
import asyncio
import cProfile
import gc
import hashlib
import json
import pstats
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
if not __package__:  # run by path, with the interpreter of another checkout
    sys.path[:1] = [str(ROOT)]

import orjson  # noqa: E402

from bench.in_order import InOrder  # noqa: E402
from bench.replay import APPENDED_MS, ATTRIBUTION, MODULATION, Made, made_turns  # noqa: E402
from bench.workload import Workload, observations  # noqa: E402
from endocrine.agents.contract import Agent  # noqa: E402
from endocrine.pipeline.core.batch import Engine  # noqa: E402
from endocrine.pipeline.core.partitioning import partition_of, places  # noqa: E402
from endocrine.pipeline.core.records import Fetched  # noqa: E402
from endocrine.pipeline.core.seals import simulated_seals  # noqa: E402
from endocrine.pipeline.core.sizes import Sizes  # noqa: E402
from endocrine.pipeline.process.policy_files import shipped_policy  # noqa: E402
from endocrine.pipeline.runtime.broker_port import Run  # noqa: E402
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor  # noqa: E402
from endocrine.pipeline.runtime.state_stores import MemoryStore  # noqa: E402

PARTITIONS = 4
_POLICY = shipped_policy()
WARM = 0.2
"""Share of the records that are not measured."""
Records = Sequence[tuple[str, Fetched]]


def _observed(identities: int, count: int) -> Iterable[Made]:
    for _, value in observations(Workload("processing", identities, count)):
        yield "observations", value["identity_ref"], orjson.dumps(value)


CASES: Mapping[str, tuple[Agent, Callable[[int], Iterable[Made]]]] = {
    "hot": (ATTRIBUTION, lambda count: _observed(500, count)),
    "cold": (ATTRIBUTION, lambda count: _observed(20_000, count)),
    "wide": (ATTRIBUTION, lambda count: _observed(1_000_000, count)),
    "turns": (MODULATION, lambda count: made_turns(count // 6)),
}
"""Agent and inputs, the agents as a worker has them. `hot` and `cold` as the benchmark has them; in `wide` hardly an
identity comes twice; a third of an attribution record's count of turns."""


class Port(InOrder):
    """A broker that gives the records in batches and keeps nothing but, where asked, a hash of what it was given."""

    def __init__(self, records: Records, size: int, *, hashed: bool) -> None:
        self.read = 0
        self._records, self._size, self._base = records, size, 1
        self.digest = hashlib.sha256() if hashed else None

    async def epoch(self) -> int:
        """Offset 0."""
        return 0

    async def changelog(self, start: int, end: int) -> Any:
        """Nothing but our epoch record."""
        from endocrine.pipeline.core.changelog import EPOCH_KEY, Entry

        yield [Entry(0, EPOCH_KEY, b"{}", 0)]

    async def changelog_end(self) -> int:
        """Where the changelog ends."""
        return self._base

    async def write_checkpoint(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        """Take a batch of the changelog."""
        if self.digest is not None:
            self.digest.update(repr(items).encode())
        base, self._base = self._base, self._base + len(items)
        return base

    async def produce(self, records: Sequence[Any], common: Any) -> None:
        """Take outputs."""
        if self.digest is not None:
            self.digest.update(repr([tuple(out) for out in records]).encode() + repr(common).encode())

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """The next batch."""
        some = self._records[self.read : self.read + self._size]
        self.read += len(some)
        runs: list[Run] = []
        for topic in dict.fromkeys(topic for topic, _ in some):
            own = [raw for name, raw in some if name == topic]
            runs.append(Run(topic, own, own[-1].offset + 1))
        return runs

    def waiting(self) -> int:
        """None: processing ahead would need a second writer."""
        return 0

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        """As far as was read: no topic is waited for."""
        return dict.fromkeys(topics, 0)

    async def seek(self, next_offsets: Mapping[str, int]) -> None:
        """From the beginning."""

    async def commit(self, next_offsets: Mapping[str, int]) -> None:
        """Nothing."""


class Round(NamedTuple):
    """One run over all records."""

    records: int
    """Measured."""
    seconds: list[float]
    """CPU time of each batch measured."""
    digest: str | None


def us_a_record(rounds: Sequence[Round]) -> float:
    """CPU microseconds a record, of each batch its fastest round."""
    fastest: list[float] = [min(times) for times in zip(*(one.seconds for one in rounds), strict=True)]
    return 1e6 * sum(fastest) / rounds[0].records


def records_of(inputs: Iterable[Made]) -> list[list[tuple[str, Fetched]]]:
    """Inputs as records, by partition."""
    found: list[list[tuple[str, Fetched]]] = [[] for _ in range(PARTITIONS)]
    ends: dict[tuple[str, int], int] = {}
    for number, (topic, who, value) in enumerate(inputs):
        n = partition_of(who, PARTITIONS)
        offset = ends[topic, n] = ends.get((topic, n), -1) + 1
        found[n].append((topic, Fetched(n, offset, APPENDED_MS + number, who.encode(), value, ())))
    return found


async def run(agent: Agent, partitions: Sequence[Records], size: int, *, hashed: bool = False) -> Round:
    """Let one processor per partition take all records, `size` at once."""
    policy, measured, digests = _POLICY, 0, []
    spent: list[float] = []
    processors = []
    for n, records in enumerate(partitions):
        port = Port(records, size, hashed=hashed)
        engine = Engine(agent, PARTITIONS, "bench", Sizes(), simulated_seals())
        made = PartitionProcessor(
            engine, n, port, MemoryStore(), lambda: policy, max_records=2000, max_bytes=16 << 20, ahead=1 << 60
        )
        await made.recover()
        processors.append((made, port, len(records)))
    left = True
    while left:  # in turns, as a worker's processors come to it
        left = False
        for processor, port, total in processors:
            before = port.read
            if before < total:
                left = True
                begun = time.process_time()
                await processor.step()
                if before >= WARM * total:
                    spent.append(time.process_time() - begun)
                    measured += port.read - before
    for processor, port, total in processors:
        while processor.tally.read < total:  # what did not fit into a batch, or waited to be merged
            await processor.step()
        assert processor.tally.read == total
        assert not processor.tally.dead, "inputs came out as dead letters"
        digests.append(port.digest.hexdigest() if port.digest is not None else "")
    return Round(measured, spent, "".join(digests) if hashed else None)


def serve(count: int, size: int) -> None:
    """Answer each line on standard input, a case's name, with one round of it: for `--against`."""
    made = {}
    for line in sys.stdin:
        name, hashed = line.split()
        agent, inputs = CASES[name]
        if name not in made:
            made[name] = records_of(inputs(count))
        if name == "wide":
            places(PARTITIONS).clear()  # a stream of more identities than are cached has none of the next ones there
        gc.collect()
        gc.disable()  # as a worker does
        print(json.dumps(asyncio.run(run(agent, made[name], size, hashed=hashed == "hash"))), flush=True)


class Side:
    """A checkout, measured by a process of its own."""

    def __init__(self, checkout: Path, count: int, size: int) -> None:
        argv = [str(checkout / ".venv/bin/python"), str(Path(__file__).resolve()), "--serve"]
        argv += ["--count", str(count), "--size", str(size)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self, case: str, *, hashed: bool = False) -> Round:
        """Ask for one round."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018
        print(case, "hash" if hashed else "time", file=self._process.stdin, flush=True)
        return Round(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def profile(case: str, count: int, size: int) -> None:
    """Print where the time of one round goes. cProfile: shares of calls, not times."""
    agent, inputs = CASES[case]
    records = records_of(inputs(count))
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, run(agent, records, size))
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Print a table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--count", type=int, default=8_000, help="records of a round")
    ask.add_argument("--size", type=int, default=500, help="records of a batch")
    ask.add_argument("--rounds", type=int, default=15)
    ask.add_argument("--only", default=",".join(CASES), help="cases, comma separated")
    ask.add_argument("--against", type=Path, help="another checkout of this repository, with its .venv")
    ask.add_argument("--profile", action="store_true", help="a profile of the first case instead")
    ask.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = ask.parse_args()
    if given.serve:
        return serve(given.count, given.size)
    cases = given.only.split(",")
    if given.profile:
        return profile(cases[0], given.count, given.size)
    checkouts = [ROOT] if given.against is None else [ROOT, given.against.resolve()]
    sides = [Side(checkout, given.count, given.size) for checkout in checkouts]
    for case in cases:
        digests = {side.round(case, hashed=True).digest for side in sides}
        rounds = [[side.round(case) for side in sides] for _ in range(given.rounds)]
        figures = [us_a_record(own) for own in zip(*rounds, strict=True)]
        line = f"{case:8}" + "".join(f" {us:8.2f} us" for us in figures)
        if len(sides) > 1:
            line += f"  {figures[1] / figures[0]:5.2f} times as fast"
            line += ", the same bytes" if len(digests) == 1 else ", OTHER BYTES"
        print(line, flush=True)
    for side in sides:
        side.close()
    return None


if __name__ == "__main__":
    main()
