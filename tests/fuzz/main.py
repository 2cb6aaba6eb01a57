"""Fuzz: hostile records, batches and transactions against a worker on Kafka, with an ordinary turn after each hundred.

`make fuzz` and `make fuzz-quick` call this; docs/fuzz.md says what is sent and what must hold. Exit code 0: all held.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "support"))
sys.path.append(str(Path(__file__).resolve().parent.parent / "chaos"))

from checks import Check, Findings
from generate import Generator, kinds
from provider import provider
from sentinel import Sentinel, Unanswered
from shapes import Canaries, Group, described, load, save
from shrink import smallest
from world import PARTITIONS, World

from endocrine.pipeline.local.kafka import KafkaNode
from tooling import service

SERVICE_S = 0.05
SHRINK_TRIES = 24
MOST_WORLDS = 12
"""Worlds in which a worker was lost, after which a run gives up."""


class Fuzz:
    """One run. Everything it makes lies in `folder`."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.canaries = Canaries.fresh()
        self.findings = Findings()
        self.sent: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._worlds = self._tries = 0
        self._spent_s = 0.0
        """Seconds in which batches were sent: without starts, and without the search for the smallest."""
        self._asked: list[str] = []
        """Call ids that the tools' service was asked to run."""
        self._generator = Generator(given.seed, PARTITIONS, self.canaries, time.time(), given.without)

    async def run(self) -> None:
        """Until the records or the time are over."""
        async with (
            service(self._asked, SERVICE_S) as self._service,
            provider() as self._provider,
            KafkaNode(self.folder / "kafka") as node,
        ):
            self._bootstrap = node.bootstrap
            replay = load(self.given.replay) if self.given.replay else None
            while self._worlds < MOST_WORLDS:
                whole = await self._world(replay)
                if whole or replay is not None:
                    break

    async def _world(self, replay: list[Group] | None) -> bool:
        """Feed a world until all was sent, then prove it; False where its worker was lost before."""
        self._worlds += 1
        world = self._new_world(self._worlds)
        try:
            await world.start()
            sentinel = Sentinel(world, self.given.patience)
            await sentinel.turn()
            for groups in [replay] if replay is not None else self._batches():
                if not await self._batch(world, sentinel, groups):
                    await world.kill()
                    if replay is None:
                        await self._lost(groups)
                    return False
            self.slowest_s = max(self.slowest_s, sentinel.slowest_s)
            await self._end(world)
            return True
        finally:
            await world.kill()

    def _new_world(self, number: int) -> World:
        return World(
            self._bootstrap,
            self.folder,
            number,
            self.canaries,
            service=self._service,
            provider=self._provider,
            connector=not self.given.no_connector,
        )

    def _batches(self) -> Iterator[list[Group]]:
        while (
            self.sent.total() < self.given.records
            if self.given.minutes is None
            else self._spent_s < 60 * self.given.minutes
        ):
            begun = time.monotonic()
            yield self._generator.batch(self.given.batch)
            self._spent_s += time.monotonic() - begun

    async def _batch(self, world: World, sentinel: Sentinel, groups: Sequence[Group]) -> bool:
        """Send a batch, then the sentinel's turn. False, with a finding, where it was not answered."""
        await world.producer.send(groups)
        self.sent.update(one.kind.split("+")[0] for group in groups for one in group.records)
        self._progress(world, sentinel)
        try:
            await sentinel.turn()
        except Unanswered as error:
            detail = str(error)
        else:
            deaths = world.deaths()
            if not deaths:
                return True
            detail = "; ".join(deaths)
        number = self._generator.number
        save(self.folder / f"batch-{number}.jsonl", groups)
        self.findings.add("worker", f"after batch {number} ({self.folder / f'batch-{number}.jsonl'}): {detail}")
        self._line(f"FOUND after batch {number}: {detail[:300]}")
        return False

    async def _lost(self, groups: Sequence[Group]) -> None:
        """Find what it was, and go on without it."""
        number = self._generator.number
        if not self.given.shrink:
            return
        self._line("looking for the smallest part of the batch ...")
        least = await smallest(groups, self._fails, SHRINK_TRIES)
        records = [one for group in least for one in group.records]
        save(self.folder / f"smallest-{number}.jsonl", least)
        for group in least[:3]:
            for one in group.records[:3]:
                detail = f"{described(one)}, codec {group.codec} {group.transaction}"
                self.findings.add("smallest", f"of batch {number}, {len(records)} records: {detail}")
                self._line(f"  {detail}")
        left_out = {name for one in records for name in one.kind.split("+")} - {"good", "again", "conflict"}
        if len(records) <= 4 or len(left_out) == 1:
            self._generator.without |= left_out
            self._line(f"going on without {sorted(left_out)}")

    async def _fails(self, groups: Sequence[Group]) -> bool:
        """Whether a fresh world does not survive this."""
        self._tries += 1
        world = self._new_world(1000 + self._tries)
        try:
            await world.start()
            sentinel = Sentinel(world, self.given.patience)
            await world.producer.send(groups)
            for _ in range(2):
                await sentinel.turn()
            return bool(world.deaths())
        except Unanswered:
            return True
        finally:
            await world.kill()

    async def _end(self, world: World) -> None:
        """Stop in order, look at all records of the topics, and have it verified."""
        ledger = world.producer.ledger
        self.figures.update({"taken": len(ledger.taken), "refused": ledger.refused, "never committed": ledger.ghosts})
        self._line("waiting until all is read ...")
        await world.producer.close()
        if left := await world.unread(self.given.patience):
            self.findings.add("not read", f"nothing moves for {self.given.patience:.0f} s, left are {left}")
        for one in world.deaths():
            self.findings.add("worker", f"at the end: {one}")
        check, metrics = Check(world, self.canaries, self.findings), world.metrics()
        for one in await world.stop():
            self.findings.add("worker", one)
        self._line("reading the topics ...")
        await check.run(metrics)
        self.figures.update(check.figures)
        if forged := [one for one in self._asked if not one.startswith("sentinel-") and one not in check.allowed]:
            self.findings.add(
                "tool run", f"the service was asked for {len(forged)} calls that no gate allowed: {forged[:3]}"
            )
        if not self.given.no_verify:
            self._line("verifying ...")
            done = await asyncio.to_thread(world.verify)
            (self.folder / "verify.txt").write_text(done.stdout + done.stderr)
            if done.returncode:
                detail = " | ".join((done.stdout + done.stderr).strip().splitlines()[:8])
                self.findings.add("replay verify", f"exit code {done.returncode}: {detail[:1500]}")

    # ---- what it says ----

    def _progress(self, world: World, sentinel: Sentinel) -> None:
        if self._generator.number % 10 == 0:
            ledger = world.producer.ledger
            self._line(
                f"batch {self._generator.number}: {self.sent.total()} records, {len(ledger.taken)} taken, "
                f"{ledger.refused} refused; {sentinel.turns} sentinel turns, the slowest {sentinel.slowest_s:.2f} s"
            )

    def _line(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)

    def report(self, failed: str | None) -> dict[str, Any]:
        """What came of it."""
        return {
            "held": not self.findings.counts and failed is None and self.sent.total() > 0,
            "seed": self.given.seed,
            "without": sorted(self._generator.without),
            "failed": failed,
            "records": self.sent.total(),
            "by_kind": dict(self.sent.most_common()),
            "figures": dict(self.figures.most_common()),
            "slowest_sentinel_s": round(self.slowest_s, 3),
            "findings": dict(self.findings.counts),
            "told": dict(self.findings.sentences),
        }


def render(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{'HELD' if report['held'] else 'NOT HELD'}  seed {report['seed']}, {report['records']} records"]
    if report["failed"]:
        lines.append(f"the run itself failed: {report['failed']}")
    if report["without"]:
        lines.append(f"left out: {', '.join(report['without'])}")
    lines.append("sent: " + ", ".join(f"{kind} {count}" for kind, count in report["by_kind"].items()))
    lines += [f"  {name:40} {count}" for name, count in report["figures"].items()]
    lines.append(f"  {'slowest turn of a sentinel, seconds':40} {report['slowest_sentinel_s']}")
    for kind, count in report["findings"].items():
        lines.append(f"found: {kind}: {count}")
        lines += [f"  {one[:900]}" for one in report["told"][kind][:6]]
    return "\n".join(lines) + "\n"


def _kinds(ask: argparse.ArgumentParser, given: Sequence[str]) -> list[str]:
    named = [name for some in given for name in some.split(",") if name]
    if unknown := set(named) - set(kinds()):
        ask.error(f"{sorted(unknown)} are no kinds; expected some of {', '.join(kinds())}")
    return named


def main() -> int:
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--records", type=int, help="how many to send, however long it takes (default 100,000)")
    ask.add_argument("--minutes", type=float, help="how long to send, unless --records is given")
    ask.add_argument("--quick", action="store_true", help="ten seconds")
    ask.add_argument("--batch", type=int, default=100, help="records between two turns of the sentinel")
    ask.add_argument("--seed", type=int, help="the same seed gives the same records, times and canaries apart")
    ask.add_argument(
        "--without", action="append", default=[], help="leave out kinds, comma separated: known and not repaired yet"
    )
    ask.add_argument("--only", action="append", default=[], help="of the kinds these alone, beside good records")
    ask.add_argument("--replay", type=Path, help="send what was saved of an earlier run, and nothing else")
    ask.add_argument("--patience", type=float, default=30.0, help="seconds until the sentinel gives up")
    ask.add_argument("--no-shrink", dest="shrink", action="store_false", help="do not look for the smallest part")
    ask.add_argument("--no-connector", action="store_true", help="the worker alone, without connectors")
    ask.add_argument("--no-verify", action="store_true", help="leave out replay verify at the end")
    ask.add_argument("--folder", type=Path, help="where the report goes (default .endocrine/fuzz/<seed>)")
    ask.add_argument("--keep", action="store_true", help="keep logs and data also when all held")
    given = ask.parse_args()
    given.without = _kinds(ask, given.without)
    if only := _kinds(ask, given.only):
        given.without = [kind for kind in kinds() if kind not in only]
    given.seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    if given.records is not None:
        given.minutes = None
    elif given.minutes is None and not given.quick:
        given.records = 100_000
    if given.quick and given.records is None:
        given.minutes, given.shrink = given.minutes or 10 / 60, False
    folder = (given.folder or Path(".endocrine") / "fuzz" / str(given.seed)).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left either way
    fuzz, failed = Fuzz(given, folder), None
    try:
        asyncio.run(fuzz.run())
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        failed = f"{type(error).__name__}: {error}" if not isinstance(error, ExceptionGroup) else repr(error.exceptions)
    report = fuzz.report(failed)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "report.txt").write_text(render(report))
    print(render(report), end="")
    if report["held"] and not given.keep:
        for path in folder.iterdir():
            if path.is_dir():
                with contextlib.suppress(OSError):
                    shutil.rmtree(path)
    print(f"report: {folder / 'report.txt'}; once more: --seed {given.seed}")
    return 0 if report["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
