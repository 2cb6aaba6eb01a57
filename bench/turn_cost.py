"""What a turn costs, by process and by part: `make bench-turn`.

`POST /v1/turns` on a Kafka of its own, with everything running: the gateway, and a worker of each role (`--together`:
one worker with all agents). So many turns at once (`--at-once`), and the next ones when all agents are done with them:
how many records a batch holds depends on what waits, and would else depend on what the machine does beside. With
`--rate` they come one by one, so many a second, whatever is done: what a batch holds is then part of what is measured,
and the rate must be one that the machine keeps up with. Reported
are processor time a turn of each process (user and system, all threads), requests to Kafka a turn by client and kind,
and batches a turn by agent, from the journal.

`--against CHECKOUT` runs another checkout of this repository (with an environment of its own in `.venv`) beside this
one, taking turns, and reports the ratios.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table

from bench.gateway import turn
from bench.http_load import Connections
from bench.machine import cpu_seconds
from bench.servers import based, port_in, process, until_stopped
from endocrine.pipeline.core.journal import journal_entry
from endocrine.pipeline.kafka.clients import reader
from endocrine.pipeline.local.stack import running
from endocrine.pipeline.process.roles import PARTS
from endocrine.pipeline.process.subprocesses import last_lines

ROOT = Path(__file__).resolve().parent.parent
COUNTED = ROOT / "bench" / "counted.py"
QUIET_S, POLL_S = 1.0, 0.05
WARM_TURNS = 60
Figures = dict[str, float]
_numbers = count()


class Side(NamedTuple):
    """A checkout, and how its workers are started: arguments of `endocrine worker` by the name of the process."""

    name: str
    checkout: Path
    workers: Mapping[str, Sequence[str]]

    @property
    def program(self) -> str:
        """Its Python."""
        own = self.checkout / ".venv" / "bin" / "python"
        return sys.executable if self.checkout == ROOT else str(own)


class Counted(NamedTuple):
    """A process that counts."""

    pid: int
    fifo: Path
    report: Path


async def report_of(counted: Counted) -> dict[str, Any]:
    """What the process has counted so far."""
    counted.report.unlink(missing_ok=True)
    await asyncio.to_thread(counted.fifo.write_text, "now")
    while not counted.report.exists():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    found: dict[str, Any] = json.loads(counted.report.read_text())
    return found


@asynccontextmanager
async def started(folder: Path, name: str, side: Side, env: Mapping[str, str], *command: str) -> AsyncIterator[Counted]:
    """A command of a side's checkout, counted, once it is ready."""
    ready, fifo, report = (folder / f"{name}.{suffix}" for suffix in ("ready", "fifo", "json"))
    os.mkfifo(fifo)
    argv = (str(COUNTED), str(fifo), str(report), *command, "--ready-file", str(ready))
    async with process(ready, *argv, log=folder / f"{name}.log", env=env, program=side.program) as pid:
        yield Counted(pid, fifo, report)


class Cost:
    """A side's processes on a Kafka of their own: `async with Cost(side) as cost: await cost.once(turns, at_once)`."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.counted: dict[str, Counted] = {}
        self.pids: dict[str, int] = {}
        self.batches: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        """Records that each agent is done with."""
        self.expected = 0
        """The same of one turn, by all agents."""
        self._ending = AsyncExitStack()

    async def __aenter__(self) -> "Cost":
        enter = self._ending.enter_async_context
        try:
            folder, self.settings, env = await enter(based())
            for name, given in self.side.workers.items():
                self.counted[name] = await enter(started(folder, name, self.side, env, "worker", *given))
            self.counted["gateway"] = await enter(started(folder, "gateway", self.side, env, "gateway", "--port", "0"))
            self.log = folder / "gateway.log"
            port = port_in(folder / "gateway.ready")
            self.asked = Connections(port, "/v1/turns")
            self.consumer = reader(self.settings, fetch_max_wait_ms=1000)
            await self.consumer.start()
            self._ending.push_async_callback(self.consumer.stop)
            topic = f"{self.settings.prefix}journal"
            self.consumer.assign([TopicPartition(topic, number) for number in range(self.settings.partitions)])
            found = running(folder / "data")
            assert found is not None
            self.pids = {name: one.pid for name, one in self.counted.items()} | {"kafka": found.pids["kafka"]}
        except BaseException:
            await self._ending.aclose()
            raise
        await self._asked(1)
        await self._quiet()
        self.done.clear()
        await self._asked(1)
        await self._quiet()
        self.expected = self.done.total()
        await self._load(WARM_TURNS, 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.asked.close()
        await self._ending.aclose()

    async def once(self, turns: int, at_once: int, rate: float = 0.0) -> Figures:
        """Figures a turn, by name. rate: turns a second; 0: so many at once, and the next when all are done."""
        await self._quiet()
        self.done.clear()
        self.batches.clear()
        before, cpu = await self._reports(), self._cpu()
        await (self._load_at(turns, rate) if rate else self._load(turns, at_once))
        used, after = self._cpu(), await self._reports()
        found: Figures = {f"cpu_ms {name}": 1000 * (used[name] - cpu[name]) / turns for name in cpu}
        found["cpu_ms all"] = sum(found.values())
        for name in self.counted:
            for part, label in (("threads", "thread_ms"), ("requests", "requests")):
                scale = 1000 if part == "threads" else 1
                for kind, late in after[name][part].items():
                    value = scale * (late - before[name][part].get(kind, 0)) / turns
                    if value >= 0.01:
                        found[f"{label} {name} {kind}"] = value
        found["batches all"] = self.batches.total() / turns
        found |= {f"batches {agent}": n / turns for agent, n in self.batches.items()}
        return found | {"records all": self.done.total() / turns}

    async def _asked(self, turns: int) -> None:
        """Ask for some turns at once."""
        try:
            answers = await asyncio.gather(*(self.asked.ask(*turn(next(_numbers))) for _ in range(turns)))
        except OSError as error:
            raise RuntimeError(f"{self.side.name}: {error}; its log ends with:\n{last_lines(self.log, 20)}") from error
        if bad := [answer.status for answer in answers if not 200 <= answer.status < 300]:
            raise RuntimeError(f"{self.side.name}: the gateway answers {bad[0]}")

    async def _load(self, turns: int, at_once: int) -> None:
        for _ in range(turns // at_once):
            due = self.done.total() + self.expected * at_once
            await self._asked(at_once)
            while self.done.total() < due:
                await self._news()

    async def _load_at(self, turns: int, rate: float) -> None:
        due = self.done.total() + self.expected * turns
        async with asyncio.TaskGroup() as asking:
            for _ in range(turns):
                asking.create_task(self._asked(1))
                await asyncio.sleep(1 / rate)
        while self.done.total() < due:
            await self._news()

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    async def _reports(self) -> dict[str, dict[str, Any]]:
        return {name: await report_of(counted) for name, counted in self.counted.items()}

    async def _quiet(self) -> None:
        """Return when the journal brings nothing any more."""
        while await self._news(QUIET_S):
            pass

    async def _news(self, wait_s: float = 10.0) -> bool:
        """Count what the journal brings; whether it brings anything."""
        found = await self.consumer.getmany(timeout_ms=int(1000 * wait_s))
        for raw in (raw for records in found.values() for raw in records):
            if (entry := journal_entry(raw.value)) is not None:
                self.batches[entry["agent"]] += 1
                self.done[entry["agent"]] += sum(run[2] for run in entry["runs"])
        return bool(found)


def workers_of(checkout: Path, *, together: bool) -> Mapping[str, Sequence[str]]:
    """Workers of a checkout: one a role, where it has roles and they are wanted."""
    if together or "role:" not in (checkout / "pipeline" / "cli" / "worker.py").read_text():
        return {"worker": ()}
    return {f"worker.{role}": ("--role", role) for role in PARTS}


async def measure(sides: Sequence[Side], given: argparse.Namespace, console: Console) -> dict[str, list[Figures]]:
    """Runs of every side, in turns: short ones, since a busy machine takes more processor time for the same."""
    found: dict[str, list[Figures]] = {side.name: [] for side in sides}
    async with AsyncExitStack() as ending:
        costs = [await ending.enter_async_context(Cost(side)) for side in sides]
        for number in range(given.runs):
            for cost in costs if number % 2 == 0 else costs[::-1]:
                figures = await cost.once(given.turns, given.at_once, given.rate)
                found[cost.side.name].append(figures)
                shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items() if name.startswith("cpu"))
                console.print(f"{number + 1} {cost.side.name:4} {shown}")
    return found


def table(found: Mapping[str, Sequence[Figures]]) -> Table:
    """Medians side by side; of two sides, old by new."""
    sides = list(found)
    names = list(dict.fromkeys(name for runs in found.values() for figures in runs for name in figures))
    shown = Table(title="a turn")
    for heading in ("", *sides, *(("old / new",) if len(sides) == 2 else ())):
        shown.add_column(heading, justify="right" if heading else "left")
    for name in sorted(names):
        values = [median(figures.get(name, 0.0) for figures in found[side]) for side in sides]
        ratio = [f"{values[0] / values[1]:.2f}" if values[1] else ""] if len(sides) == 2 else []
        shown.add_row(name, *(f"{value:.2f}" for value in values), *ratio)
    return shown


def main() -> None:
    """See the module."""
    ask = argparse.ArgumentParser(
        prog="bench.turn_cost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--against", type=Path, help="another checkout, old")
    ask.add_argument("--turns", type=int, default=40, help="in each run")
    ask.add_argument("--at-once", type=int, default=1, help="turns that come together; the next when all are done")
    ask.add_argument("--rate", type=float, default=0.0, help="turns a second, instead, whatever is done")
    ask.add_argument("--runs", type=int, default=5, help="of each side")
    ask.add_argument("--together", action="store_true", help="one worker with all agents, on both sides")
    ask.add_argument("--output", type=Path, help="write the figures here, as JSON")
    given = ask.parse_args()
    sides = [Side("new", ROOT, workers_of(ROOT, together=given.together))]
    if given.against is not None:
        old = given.against.resolve()
        sides.insert(0, Side("old", old, workers_of(old, together=given.together)))
    console = Console(width=160)
    found = until_stopped(measure(sides, given, console))
    console.print(table(found))
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
