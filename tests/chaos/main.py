"""Chaos: workers, connector and Kafka are killed, stopped and woken while inputs pour in; then all is proved.

`make chaos` and `make chaos-quick` call this; docs/chaos.md says what is done and what must hold. Exit code 0: proved.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import calls
from crew import ABLATIONS, Crew
from faults import Faults
from feed import Feed
from inputs import SOURCES, Crowd, Input
from schedule import MEANING, schedule
from show import Show
from stranger import Stranger
from transactions import Transactions
from watch import Watch

from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.seal_keys import load_seals, make_key_file, read_keys
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_history, read_policies
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Report, Verifier, verified_topics
from tooling import service

KINDS = (
    "missing",
    "wrong",
    "out of order",
    "journal gap",
    "journal chain",
    "copies differ",
    "said twice",
    "invented",
    "runs",
    "inputs changed",
    "not verifiable",
    "input lost",
    "aborted seen",
    *calls.KINDS,
    "worker",
    "not at rest",
)
"""What can be found; all must be 0."""


@dataclass(frozen=True)
class Plan:
    """The size of a run. span_s: seconds in which inputs and faults fall."""

    seed: int
    inputs: int
    people: int
    faults: int
    span_s: float
    workers: int
    partitions: int
    session_s: float
    patience_s: float
    ablation: str | None = None
    """What is taken away from workers and connector; the run must not be proved then."""


class Chaos:
    """One run. Everything it makes lies in `folder`."""

    def __init__(self, plan: Plan, folder: Path, show: Show) -> None:
        self.plan = plan
        self.folder = folder
        self.show = show
        self.findings: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.report: dict[str, Any] = {"plan": asdict(plan), "proved": False}
        self._asked: list[str] = []
        """Call ids that the tools' service was asked to run, in order."""

    async def run(self) -> bool:
        """True when nothing was found."""
        begun = time.monotonic()
        async with (
            service(self._asked, calls.SERVICE_S) as self._service,
            KafkaNode(self.folder / "kafka") as node,
        ):
            settings = Settings(
                bootstrap=node.bootstrap,
                group="chaos",
                prefix="chaos.",
                partitions=self.plan.partitions,
                policy=calls.POLICY,
                session_timeout_s=self.plan.session_s,
                data_dir=self.folder / "data",
                seal_key_file=self.folder / "seal.keys",
            )
            make_key_file(self.folder / "seal.keys")
            crew = Crew(settings, self.folder, time.monotonic(), self.plan.ablation)
            watch = Watch(settings)
            try:
                rested = await self._disturb(node, settings, crew, watch)
                self.show.phase("stopping workers and connector")
                supervisor_free = [seat.name for seat in crew.up()]
                await crew.stop()
                self.report["workers_at_the_end"] = supervisor_free
                if not rested:
                    self.findings["not at rest"].append(self._why)
            finally:
                crew.kill()
                await watch.stop()
            self.findings["worker"] += crew.findings
            self.report["exits"] = [asdict(one) for one in crew.exits]
            self.report["starts"] = {seat.name: seat.starts for seat in crew.seats}
            await self._prove(settings)
        self.report["found"] = {kind: len(sentences) for kind, sentences in self.findings.items()}
        self.report["findings"] = {kind: sentences[:50] for kind, sentences in self.findings.items() if sentences}
        self.report["proved"] = not any(self.findings.values())
        self.report["seconds"] = round(time.monotonic() - begun, 1)
        self.report["verifier_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        return bool(self.report["proved"])

    async def _disturb(self, node: KafkaNode, settings: Settings, crew: Crew, watch: Watch) -> bool:
        """Feed and faults until all is over and at rest."""
        plan = self.plan
        self.show.phase(f"starting {plan.workers} workers, then the tool connector")
        for n in range(plan.workers):
            crew.add(static=n < plan.workers - 1)
        supervising = asyncio.create_task(crew.supervise())
        try:
            await self._first_assignment(crew, watch)
            crew.add_connector(calls.equipment(self.folder, self._service))
            crew.begun = time.monotonic()
            faults = Faults(crew, node, node.bootstrap, self.folder / "faults.log")
            self.feed = Feed(settings, random.Random(f"{plan.seed} pace"), plan.inputs, plan.span_s)
            planned = schedule(random.Random(f"{plan.seed} faults"), plan.faults, plan.span_s, plan.session_s)
            self.show.phase("feeding and disturbing")
            telling = asyncio.create_task(self._tell(watch, faults, crew))
            self.transactions = Transactions(settings, random.Random(f"{plan.seed} transactions"))
            others = self._inputs("transactions", people=400, who="buyer", first=1_000_000_000)
            stranger = Stranger(settings, read_keys(self.folder / "seal.keys")[0].id)
            companions = [asyncio.create_task(one) for one in (self.transactions.run(others), stranger.run())]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.feed.run(self._inputs("inputs", people=plan.people)))
                tasks.create_task(faults.carry_out(planned))
            for one in companions:
                one.cancel()
            for ended in await asyncio.gather(*companions, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended
            self.report["stranger"] = dict(sorted(stranger.done.items()))
            self.report["transactions"] = dict(sorted(self.transactions.done.items()))
            telling.cancel()
            await asyncio.wait([telling])
            self.report["disturbed_s"] = round(crew.now(), 1)
            self.report["inputs"] = {
                "sent": self.feed.sent,
                "acknowledged": self.feed.acknowledged,
                "fate_unknown": dict(self.feed.refused),
                "by_topic": dict(sorted(self.feed.topics.items())),
            }
            self.report["faults"] = {kind: faults.done[kind] for kind in MEANING}
            if unfed := set(SOURCES) - set(self.feed.topics):
                raise RuntimeError(f"no input on {sorted(unfed)}: give more inputs")
            self.show.phase("waiting until all is at rest")
            resting = time.monotonic()
            self._why = await watch.until_at_rest(crew, plan.patience_s, 10 * plan.patience_s, self.show.tell)
            if self._why:
                await crew.tell()
            self.report["rest_s"] = round(time.monotonic() - resting, 1)
            return not self._why
        finally:
            supervising.cancel()
            await asyncio.wait([supervising])

    async def _first_assignment(self, crew: Crew, watch: Watch) -> None:
        """The first worker makes the topics: wait until they are there and the group has all of its members."""
        deadline = time.monotonic() + 90
        while True:
            if all("taken over" in seat.log.read_text() for seat in crew.seats):
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the workers did not take over within 90 s: see {self.folder}")
            await asyncio.sleep(0.2)
        await watch.start()

    def _inputs(self, name: str, people: int, **crowd_of: Any) -> Iterator[Input]:
        crowd = Crowd(random.Random(f"{self.plan.seed} {name}"), people, self.plan.partitions, **crowd_of)
        while True:
            yield crowd.input()

    async def _tell(self, watch: Watch, faults: Faults, crew: Crew) -> None:
        while True:
            await watch.look()
            up = len(crew.up())
            self.show.numbers(self.feed.sent, faults.done.total(), up, watch.batches, watch.lag, len(crew.exits))
            await asyncio.sleep(1.0)

    async def _prove(self, settings: Settings) -> None:
        """Everything from here on is read from topics."""
        plan, begun = self.plan, time.monotonic()
        self.show.phase("reading the topics")
        spool = self.folder / "topics"
        spool.mkdir()
        policies = {digest: compile_policy(document) for digest, document in (await read_policies(settings)).items()}
        seals = RecordedSeals(load_seals(settings))
        logs = await read_history(settings, verified_topics(), seals, folder=spool, progress=self.show.share)
        self.show.phase("proving")
        verifier = Verifier(
            logs,
            policies.__getitem__,
            partitions=plan.partitions,
            sizes=settings.sizes,
            progress=self.show.tell,
            seals=seals,
        )
        report: Report = verifier.run(AGENTS)
        for kind, sentences in report.findings.items():
            self.findings.setdefault(kind, []).extend(sentences)
        self.findings["input lost"] += self.feed.missing(logs)
        lost, seen = self.transactions.findings(logs)
        self.findings["input lost"] += lost
        self.findings["aborted seen"] += seen
        self.report["verified"] = {
            "records_on_topics": sum(map(len, logs.values())),
            "batches": report.batches,
            "derived_records_compared": report.compared,
            "equal": report.equal,
            "derived_records_on_topics": report.records,
            "copies": report.copies,
            "seals_checked": report.seals_checked,
            "seconds": round(time.monotonic() - begun, 1),
        }
        self.report["tool_calls"], found = calls.check(logs, self._asked, settings.max_record_bytes)
        for kind, sentences in found.items():
            self.findings[kind] += sentences


def main() -> int:
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--quick", action="store_true", help="8,000 inputs and 15 faults, under two minutes")
    ask.add_argument("--seed", type=int, help="the same seed gives the same inputs and the same schedule of faults")
    ask.add_argument("--inputs", type=int)
    ask.add_argument("--faults", type=int)
    ask.add_argument("--span", type=float, help="seconds in which inputs and faults fall")
    ask.add_argument("--folder", type=Path, help="where the report goes (default .endocrine/chaos/<seed>)")
    ask.add_argument("--ablation", choices=sorted(ABLATIONS), help="take this away: the run must fail (docs/chaos.md)")
    ask.add_argument("--keep", action="store_true", help="keep logs and data also when all is proved")
    given = ask.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    inputs = given.inputs or (8_000 if given.quick else 100_000)
    faults = given.faults or (15 if given.quick else 100)
    span = given.span or (35.0 if given.quick else 720.0)
    plan = Plan(
        seed,
        inputs,
        people=min(5_000, inputs // 2),
        faults=faults,
        span_s=span,
        workers=3,
        partitions=4 if given.quick else 6,
        session_s=4.0 if given.quick else 6.0,
        patience_s=30.0 if given.quick else 75.0,
        ablation=given.ablation,
    )
    folder = (given.folder or Path(".endocrine") / "chaos" / str(seed)).absolute()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    show = Show(plan.inputs, plan.faults)
    show.line(f"chaos: seed {seed}, {inputs} inputs of {plan.people} identities, {faults} faults in {span:.0f} s")
    chaos = Chaos(plan, folder, show)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is no news here
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left either way
    proved = False
    try:
        proved = asyncio.run(chaos.run())
    except KeyboardInterrupt:
        show.line("stopped")
        return 130
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        chaos.report["failed"] = failure if not isinstance(error, ExceptionGroup) else repr(error.exceptions)
    finally:
        show.close()
        (folder / "report.json").write_text(json.dumps(chaos.report, indent=1))
        text = render(chaos.report)
        (folder / "report.txt").write_text(text)
        print(text, end="")
        if proved and not given.keep:
            for path in folder.iterdir():
                if path.name not in ("report.json", "report.txt", "faults.log"):
                    with contextlib.suppress(OSError):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif not proved:
            print(f"kept for you: {folder} (logs of workers and Kafka, faults.log, Kafka's data, the topics as read)")
        print(f"report: {folder / 'report.txt'} and report.json; once more: --seed {seed}")
    return 0 if proved else 1


def render(report: dict[str, Any]) -> str:
    """The report as text."""
    plan = report["plan"]
    lines = [f"{'PROVED' if report['proved'] else 'NOT PROVED'}  seed {plan['seed']}, {report.get('seconds', '?')} s"]
    if failed := report.get("failed"):
        lines.append(f"the run itself failed: {failed}")
    for name in ("inputs", "transactions", "stranger", "faults", "verified", "tool_calls"):
        if name in report:
            lines.append(f"{name}:")
            lines += [f"  {key:28} {value}" for key, value in report[name].items()]
    if "exits" in report:
        lines.append(f"processes that ended on their own (started again by the supervisor): {len(report['exits'])}")
        lines += [f"  {e['at']:7.1f} s  {e['worker']}  exit code {e['code']}: {e['because']}" for e in report["exits"]]
    if "found" in report:
        lines.append("found:")
        lines += [f"  {kind:28} {count}" for kind, count in report["found"].items()]
        for kind, sentences in report.get("findings", {}).items():
            lines += [f"  {kind}: {one[:600]}" for one in sentences[:5]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
