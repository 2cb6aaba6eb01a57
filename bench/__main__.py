"""`python -m bench`: one command, one run (see README.md)."""

import asyncio
import json
import signal
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
from bench.figures import ratios
from bench.harness import Harness
from bench.latency import latency
from bench.machine import busy_seconds, machine, own_seconds
from bench.picture import draw
from bench.plan import COMPETITORS, FULL, PARTS, QUICK, Plan
from bench.profiling import heaviest, profiled
from bench.report import profile_table, report
from bench.runner import CompetitorError
from endocrine.pipeline.process.subprocesses import BrokerError

HERE = Path(__file__).resolve().parent
Notify = Callable[[str, int, int], None]


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
        for _ in range(self.plan.repeats):
            for part in self.plan.parts:
                if part in ("hot", "cold"):
                    await self._throughput(part)
                elif part == "latency":
                    await self._latency()
        if "growth" in self.plan.parts:
            await self._growth()

    async def _throughput(self, part: str) -> None:
        by_competitor = self.measured.setdefault("throughput", {}).setdefault(part, {})
        cpu = self.measured.setdefault("cpu_us_per_record", {}).setdefault(part, {})
        for name in self.plan.competitors:
            workload = self.plan.workload(part, name)
            hook = self._hook(part) if name == "endocrine" and self._profiles else None
            with self._bar(f"{part}: {name}") as notify:
                found = await runner.throughput(self._harness, name, workload, self._folder, notify, hook)
            by_competitor.setdefault(name, []).append(round(found.rate, 1))
            cpu.setdefault(name, []).append(round(found.cpu_us, 2))
            self._progress.console.print(
                f"{part:>8}  {name:<10} {found.rate:>10,.0f} records/s  {found.cpu_us:>7.1f} us of processor time each"
            )

    def _hook(self, part: str) -> Any:
        assert self._profiles is not None
        target = self._profiles / f"profile-{part}.folded"
        return lambda competitor: profiled(competitor.process.pid, target)

    async def _latency(self) -> None:
        runs = self.measured.setdefault("latency", {})
        for name in ("endocrine", "echo"):
            with self._bar(f"latency: {name}") as notify:
                found = await latency(self._harness, name, self.plan.latency_s, self._folder, notify)
            runs.setdefault(name, []).append(found)
            self._progress.console.print(f" latency  {name:<10} {found}")

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
        async with harness.broker(Path(name)) as bootstrap, Harness(bootstrap, plan.partitions) as held:
            notify("running", 1, 1)
            yield held, Path(name)


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
        "records": {name: plan.workload("hot", name).records for name in COMPETITORS},
        "repeats": plan.repeats,
        "took_s": round(took, 1),
    }


def _until_stopped(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Run it; SIGTERM ends it as Ctrl-C does, with nothing left behind."""

    async def guarded() -> dict[str, Any]:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(guarded())


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Hot and cold alone, each once.")] = False,
    only: Annotated[str, typer.Option(help=f"Parts, comma separated: {','.join(PARTS)}.")] = "",
    competitors: Annotated[
        str,
        typer.Option("--competitors", "--contenders", help=f"Of throughput, comma separated: {','.join(COMPETITORS)}."),
    ] = "",
    repeats: Annotated[int, typer.Option(min=0, help="Runs of which the median counts; 0: as planned.")] = 0,
    identities: Annotated[int, typer.Option(min=0, help="Of growth and recovery; 0: a million.")] = 0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Sample our worker with py-spy; results are not written.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Where results are written; the picture beside it.")] = HERE
    / "results.json",
) -> None:
    """Measure this pipeline beside others, on one machine, in one run."""
    console = Console()
    try:
        plan = (QUICK if quick else FULL).narrowed(only, competitors, repeats, identities)
        found = _until_stopped(_run(plan, HERE if profile else None, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; nothing was written, every process has ended")
        raise typer.Exit(130) from None
    except (BrokerError, CompetitorError, TimeoutError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    report(console, found)
    if profile:
        for target in sorted(HERE.glob("profile-*.folded")):
            with target.open() as folded:
                console.print(profile_table(f"{target.relative_to(HERE.parent)}", heaviest(folded, 40)))
        return
    results.write_text(json.dumps(found, indent=2) + "\n")
    draw(found, results.with_suffix(".png"))
    console.print(f"written: {results} and {results.with_suffix('.png')}")


if __name__ == "__main__":
    typer.run(main)
