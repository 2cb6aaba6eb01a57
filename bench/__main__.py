"""`python -m bench`: one command, one run (see README.md)."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import growth, harness, runner
from bench.capacity_model import numbers
from bench.contenders import CODECS, THROUGHPUT
from bench.figures import ratios
from bench.harness import Harness
from bench.latency import FAST, RATE, idle, latency
from bench.machine import busy_seconds, machine, own_seconds
from bench.picture import draw
from bench.plan import COMPRESSED, FULL, IDENTITIES, MILLION, PARTS, QUICK, Plan
from bench.profiling import heaviest, profiled
from bench.report import profile_table, report
from bench.runner import CompetitorError
from bench.servers import until_stopped
from bench.targets import TARGETS, lost
from bench.two import two_workers
from bench.workload import Workload
from endocrine.pipeline.process.subprocesses import BrokerError

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
Notify = Callable[[str, int, int], None]
LATENCIES = (("endocrine", RATE), ("echo_durable", RATE), ("echo", RATE), ("endocrine", FAST), ("echo_durable", FAST))


class Run:
    """One run of the plan; what it measures is filled in as it comes."""

    def __init__(self, plan: Plan, harness: Harness, folder: Path, progress: Progress, profiles: Path | None) -> None:
        self.plan = plan
        self.measured: dict[str, Any] = {}
        self._harness = harness
        self._folder = folder
        self._progress = progress
        self._profiles = profiles

    async def everything(self) -> None:
        """Every part of the plan, repeats interleaved so that a slow minute of the machine meets everyone."""
        parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "hot": lambda: self._throughput("hot"),
            "cold": lambda: self._throughput("cold"),
            "latency": self._latency,
            "idle": self._idle,
            "million": self._million,
            "compression": self._compression,
            "two": self._two,
        }
        for number in range(self.plan.repeats):
            for part in self.plan.parts:
                if part in parts and number < self.plan.repeats_of(part):
                    await parts[part]()
        if "growth" in self.plan.parts:
            await self._growth()

    async def _throughput(self, part: str) -> None:
        for name in self.plan.contenders:
            hook = self._hook(part) if name == "endocrine" and self._profiles else None
            await self._one("throughput", part, name, self.plan.workload(part, name), hook)

    async def _million(self) -> None:
        for part, identities in IDENTITIES.items():
            for name in MILLION:
                workload = Workload(part, identities, self.plan.million, partitions=self.plan.partitions)
                await self._one("million", part, name, workload)

    async def _compression(self) -> None:
        for part in IDENTITIES:
            for codec in CODECS:
                for name in (name for name in COMPRESSED if name in self.plan.contenders):
                    await self._one("compression", part, name, self.plan.workload(part, name), codec=codec)

    async def _two(self) -> None:
        for part in IDENTITIES:
            workload = self.plan.workload(part, "endocrine")
            await self._one("two", part, "endocrine", workload)
            with self._bar(f"two: {part}") as notify:
                found = await two_workers(self._harness, workload, self._folder, notify)
            self._note("two", part, "endocrine_two", found)

    async def _one(
        self, kind: str, part: str, name: str, workload: Workload, hook: Any = None, codec: str = "none"
    ) -> None:
        with self._bar(f"{kind} {part}: {name}") as notify:
            found = await runner.throughput(
                self._harness, name, workload, self._folder, notify, hook, compression=codec
            )
        self._note(kind, part, f"{name}+{codec}" if kind == "compression" else name, found)

    def _note(self, kind: str, part: str, name: str, found: runner.Throughput) -> None:
        by_name = self.measured.setdefault(kind, {}).setdefault(part, {})
        by_name.setdefault(name, []).append(found.rounded())
        self._progress.console.print(
            f"{kind:>11} {part:<4} {name:<16} {found.rate:>9,.0f} records/s  us each {found.cpu_us:>6.1f}, broker "
            f"{found.broker_us:>5.1f}  bytes each in {found.bytes_in:,.0f}, out {found.bytes_out:,.0f}"
        )

    def _hook(self, part: str) -> Any:
        assert self._profiles is not None
        target = self._profiles / f"profile-{part}.folded"
        return lambda competitor: profiled(competitor.process.pid, target)

    async def _latency(self) -> None:
        runs = self.measured.setdefault("latency", {})
        for name, rate in LATENCIES:
            with self._bar(f"latency: {name} at {rate}/s") as notify:
                found = await latency(self._harness, name, self.plan.latency_s, self._folder, notify, rate=rate)
            runs.setdefault(name if rate == RATE else f"{name}@{rate}", []).append(found)
            self._progress.console.print(f"    latency {name:<16} {rate}/s {found}")

    async def _idle(self) -> None:
        with self._bar("idle") as notify:
            found = await idle(self._harness, self.plan.idle_s, self._folder, notify)
        self.measured.setdefault("idle", []).append(round(found, 5))
        self._progress.console.print(f"       idle {found:.2%} of a core")

    async def _growth(self) -> None:
        plan = self.plan
        grown = {}
        for count, restarts in ((plan.few, 0), (plan.many, plan.repeats)):
            with self._bar(f"growth: {count:,} identities") as notify:
                grown[count] = await growth.grow(
                    self._harness, count, plan.repeats, plan.segment, restarts, self._folder, notify
                )
            self._progress.console.print(f"  growth  {count:,} identities: {grown[count]}")
        few, many = grown[plan.few], grown[plan.many]
        self.measured["growth"] = {
            "few_identities": plan.few,
            "many_identities": plan.many,
            "few": few.rates,
            "many": many.rates,
            "few_same_traffic": few.same_traffic,
            "many_same_traffic": many.same_traffic,
        }
        keys = plan.many + self._harness.partitions
        self.measured["recovery"] = {
            "keys": keys,
            "seconds": many.recovery_s,
            "keys_per_s": [round(keys / seconds) for seconds in many.recovery_s],
        }
        per_key = (many.resident - few.resident) / (plan.many - plan.few)
        self.measured["memory"] = {"resident_bytes": many.resident, "bytes_per_key": round(per_key)}

    def _bar(self, name: str) -> "_Bar":
        return _Bar(self._progress, name)


class _Bar:
    """One bar of progress while a competitor is at work."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name

    def __enter__(self) -> Notify:
        self._task = self._progress.add_task(f"{self._name}, topics", total=None)
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._progress.remove_task(self._task)

    def _tell(self, what: str, done: int, total: int) -> None:
        shown = f"{self._name}, {what}"
        self._progress.update(self._task, description=shown, completed=done, total=max(total, 1))


@asynccontextmanager
async def _prepared(plan: Plan, progress: Progress) -> AsyncIterator[tuple[Harness, Path]]:
    with tempfile.TemporaryDirectory(prefix="endocrine-bench-") as name, _Bar(progress, "broker") as notify:
        notify("starting", 0, 1)
        folder = Path(name)
        async with harness.broker(folder) as node, Harness(node, folder / "kafka", plan.partitions) as held:
            notify("running", 1, 1)
            yield held, folder


async def _run(plan: Plan, profiles: Path | None, console: Console) -> dict[str, Any]:
    began, busy, own = time.monotonic(), busy_seconds(), own_seconds()
    bar = BarColumn(bar_width=30)
    columns = (TextColumn("{task.description:<40}"), bar, MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        async with _prepared(plan, progress) as (held, folder):
            facts = machine()
            run = Run(plan, held, folder, progress, profiles)
            await run.everything()
    took = time.monotonic() - began
    # Every process of ours has ended by now, so what is left was done by others.
    others = max(0.0, (busy_seconds() - busy) - (own_seconds() - own))
    facts["busy_elsewhere"] = round(others / (took * int(facts["cores"])), 3)
    return {
        "machine": facts,
        "ratios": ratios(run.measured),
        "measured": run.measured,
        "records": {name: plan.workload("hot", name).records for name in THROUGHPUT},
        "partitions": plan.partitions,
        "repeats": plan.repeats,
        "took_s": round(took, 1),
    }


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Hot and cold alone, each once; fails on a tenfold loss only.")
    ] = False,
    only: Annotated[str, typer.Option(help=f"Parts, comma separated: {','.join(PARTS)}.")] = "",
    contenders: Annotated[
        str,
        typer.Option("--contenders", "--competitors", help=f"Of throughput, comma separated: {','.join(THROUGHPUT)}."),
    ] = "",
    repeats: Annotated[int, typer.Option(min=0, help="Runs of which the median counts; 0: as planned.")] = 0,
    identities: Annotated[int, typer.Option(min=0, help="Of growth and recovery; 0: a million.")] = 0,
    records: Annotated[int, typer.Option(min=0, help="Of hot and cold; 0: as planned. Fewer: to try it.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="Of latency, after 3 of warm-up; 0: as planned.")] = 0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Sample our worker with py-spy; results are not written.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="Where results are written; the picture beside it. With --quick: nowhere.")
    ] = None,
) -> None:
    """Measure this pipeline beside others, on one machine, in one run."""
    console = Console()
    try:
        plan = (QUICK if quick else FULL).narrowed(only, contenders, repeats, identities, records, seconds)
        found = until_stopped(_run(plan, HERE if profile else None, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; nothing was written, every process has ended")
        raise typer.Exit(130) from None
    except (BrokerError, CompetitorError, TimeoutError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    report(console, found)
    if profile:
        for sampled in sorted(HERE.glob("profile-*.folded")):
            with sampled.open() as folded:
                console.print(profile_table(f"{sampled.relative_to(HERE.parent)}", heaviest(folded, 40)))
        return
    target = results or (None if quick else RESULTS)
    if target is not None:
        target.write_text(json.dumps(found, indent=1) + "\n")
        draw(found, target.with_suffix(".png"))
        console.print(f"written: {target} and {target.with_suffix('.png')}")
        if {"hot", "cold", "latency"} <= set(plan.parts) and "endocrine" in plan.contenders:
            kept = target.with_name("capacity.json")
            kept.write_text(json.dumps(numbers(found), indent=1) + "\n")
            console.print(f"written: {kept}; `make capacity` makes docs/capacity.md of bench/capacity.json")
    if quick:
        _judge(console, found["ratios"])


def _judge(console: Console, found: dict[str, float | None]) -> None:
    """Exit with 1 where a ratio is a tenth of what it was: all else may be the machine."""
    before = json.loads(RESULTS.read_text())["ratios"] if RESULTS.exists() else {}
    if worse := lost(found, before):
        for name in worse:
            was = before.get(name) or TARGETS[name].bound
            console.print(f"[red]tenfold loss[/] {TARGETS[name].measure}: {found[name]}, expected about {was}")
        raise typer.Exit(1)
    console.print("no ratio is ten times worse than in bench/results.json")


if __name__ == "__main__":
    typer.run(main)
