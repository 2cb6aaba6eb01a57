"""Old beside new, in one run: `make bench-against REF=<git ref>`. No benchmark may be worse than before by more than
noise.

The old code is a worktree of REF in a folder that is gone afterwards. Its package is mapped by a folder of links, put
first on PYTHONPATH: the finder of an editable installation is the last that Python asks, so the links win. Where REF
locks other versions than this checkout, it gets an environment of its own (`against` beside this one, kept). Both run
with this checkout's measuring code, in turns, against one Kafka; where the package is too old for it, with REF's own.
"""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import harness, runner
from bench.harness import Harness
from bench.latency import latency
from bench.plan import IDENTITIES
from bench.runner import ROOT, THIS, Launch
from bench.servers import until_stopped
from bench.workload import Workload
from endocrine.pipeline.process.subprocesses import BrokerError

PARTS = ("hot", "cold", "latency", "replay")
FOLDERS = ("agents", "config", "pipeline", "schemas")
"""Of the package: setup.py maps them."""
NOISE = 0.05
"""Change that is never called better or worse: a quiet machine's own, from run to run."""
Figures = dict[str, list[float]]


class Verdict(NamedTuple):
    """One figure, old beside new."""

    name: str
    old: float
    new: float
    ratio: float
    """Above 1: the new one is better."""
    noise: float
    """Share by which runs of one side differ: half the distance of its quartiles, of the noisier side."""

    @property
    def word(self) -> str:
        """`better`, `worse`, or `same` within the noise."""
        if abs(self.ratio - 1) <= max(self.noise, NOISE):
            return "same"
        return "better" if self.ratio > 1 else "worse"


def verdict(name: str, old: Sequence[float], new: Sequence[float]) -> Verdict:
    """Judge runs of both. Of rates (`..._per_s`) more is better, of all else less.

    >>> verdict("hot_per_s", [100.0, 101.0, 99.0], [150.0, 151.0, 149.0]).word
    'better'
    >>> verdict("p99_ms", [10.0, 14.0, 6.0], [11.0, 15.0, 9.0]).word
    'same'
    >>> verdict("hot_cpu_us", [0.0], [1.0]).word
    'same'
    """
    before, after = median(old), median(new)
    if not before or not after:  # too short a run to measure it
        return Verdict(name, before, after, 1.0, 1.0)
    ratio = after / before if name.endswith("_per_s") else before / after
    return Verdict(name, before, after, ratio, max(_spread(old), _spread(new)))


def _spread(values: Sequence[float]) -> float:
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / 2 / median(ordered)


def mapped(checkout: Path, into: Path) -> Path:
    """Make a folder that, on PYTHONPATH, holds the package of a checkout. Raises ValueError where it has none."""
    public = checkout / "pipeline" / "public"
    if not (public / "__init__.py").exists():
        raise ValueError(f"{checkout}: pipeline/public is missing; expected a commit whose package is `endocrine`")
    package = into / "endocrine"
    package.mkdir(parents=True)
    for file in public.iterdir():
        if file.is_file():
            (package / file.name).symlink_to(file)
    for name in FOLDERS:
        (package / name).symlink_to(checkout / name)
    return into


@contextmanager
def worktree(ref: str, folder: Path) -> Iterator[Path]:
    """A checkout of REF, removed afterwards. Raises ValueError where git does not know it."""
    found = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], capture_output=True, text=True
    )
    if found.returncode:
        raise ValueError(f"git knows no commit {ref!r}; expected a branch, a tag or a commit")
    place = folder / "old"
    subprocess.run(
        ["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", place, found.stdout.strip()], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=True)


def python_of(checkout: Path) -> str:
    """A Python with what a checkout's lock for the benchmark names: ours, or one in an environment of its own."""
    lock = checkout / "requirements-bench.lock"
    if lock.read_bytes() == (ROOT / lock.name).read_bytes():
        return sys.executable
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    home = Path(sys.prefix).parent / "against" / digest
    program, done = home / "bin" / "python", home / "done"
    if not done.exists():
        print(f"{lock.name} differs: making an environment for the old code (about a minute, once) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        install: list[str | Path] = [program, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "install"]
        subprocess.run([*install, "--require-hashes", "-r", lock], check=True)
        done.touch()
    return str(program)


def launch_of(checkout: Path, folder: Path) -> Launch:
    """How the old code is started. Raises ValueError where no benchmark can be imported with its package."""
    program, mapping = python_of(checkout), mapped(checkout, folder / "mapping")
    for bench in (ROOT, checkout):
        path = f"{mapping}{os.pathsep}{bench}"
        found = _try_imports(program, path)
        if found.returncode == 0:
            if found.stdout.strip() != str(mapping / "endocrine" / "__init__.py"):
                raise ValueError(f"Python imports {found.stdout.strip()}; expected the package below {mapping}")
            return Launch(program, path)
    raise ValueError(f"no benchmark can be imported with the old package:\n{found.stderr[-1000:]}")


def _try_imports(program: str, path: str) -> "subprocess.CompletedProcess[str]":
    """Import what is run, with the package that is mapped."""
    code = "import endocrine, bench.competitors.endocrine, bench.replay; print(endocrine.__file__)"
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([program, "-c", code], capture_output=True, text=True, env=env, cwd="/")


class Against:
    """Runs of both sides, in turns."""

    def __init__(self, sides: Mapping[str, Launch], folder: Path, console: Console, records: int) -> None:
        self.figures: dict[str, Figures] = {name: {} for name in sides}
        self._sides, self._folder, self._console, self._records = sides, folder, console, records

    async def once(self, held: Harness, parts: Sequence[str], turn: int) -> None:
        """Every part, on both sides; who goes first alternates."""
        order = list(self._sides) if turn % 2 == 0 else list(self._sides)[::-1]
        for part in parts:
            for side in order:
                found = await self._part(held, part, self._sides[side])
                for name, value in found.items():
                    self.figures[side].setdefault(name, []).append(value)
                shown = ", ".join(f"{name} {value:,.2f}" for name, value in found.items())
                self._console.print(f"{turn + 1:>2} {part:<8} {side:<4} {shown}")

    async def _part(self, held: Harness, part: str, launch: Launch) -> dict[str, float]:
        if part == "replay":
            return await asyncio.to_thread(replay, launch, self._folder, self._records)
        if part == "latency":
            timed = await latency(held, "endocrine", 5.0, self._folder, _silent, launch=launch)
            return {f"decision_{which}": timed[which] for which in ("p50_ms", "p99_ms")}
        workload = Workload(part, IDENTITIES[part], self._records, partitions=held.partitions)
        run = await runner.throughput(held, "endocrine", workload, self._folder, _silent, launch=launch)
        return {
            f"{part}_per_s": run.rate,
            f"{part}_cpu_us": run.cpu_us,
            f"{part}_broker_us": run.broker_us,
            f"{part}_bytes_written": run.bytes_out,
        }


def _silent(what: str, done: int, total: int) -> None:
    pass


def replay(launch: Launch, folder: Path, records: int) -> dict[str, float]:
    """Records and turns per CPU second that replay proves. Raises ValueError with the output where it fails."""
    target = folder / "replay.json"
    argv = [launch.program, "-m", "bench.replay", "--output", str(target)]
    argv += ["--observations", str(2 * records), "--turns", str(records // 5)]
    found = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": launch.path}, cwd="/")
    if found.returncode:
        raise ValueError(f"replay failed:\n{found.stderr[-2000:]}")
    figures = json.loads(target.read_text())
    return {f"replay_{agent}_per_s": float(figures[agent]["per_second"]) for agent in figures}


async def compare(ref: str, parts: Sequence[str], repeats: int, records: int, console: Console) -> list[Verdict]:
    """Measure both; a verdict for each figure."""
    with TemporaryDirectory(prefix="endocrine-against-") as name:
        folder = Path(name)
        with worktree(ref, folder) as checkout:
            old = launch_of(checkout, folder)
            sides = {"old": old, "new": THIS}
            run = Against(sides, folder, console, records)
            async with harness.broker(folder) as node, Harness(node, folder / "kafka", 4) as held:
                for turn in range(repeats):
                    await run.once(held, parts, turn)
    return [verdict(name, values, run.figures["new"][name]) for name, values in run.figures["old"].items()]


def table(ref: str, found: Sequence[Verdict]) -> Table:
    """What was found."""
    shown = Table(title=f"{ref} beside this checkout; ratio above 1: this one is better")
    for heading in ("figure", "old", "new", "ratio", "noise", ""):
        shown.add_column(heading, justify="left" if heading in ("figure", "") else "right")
    colours = {"better": "green", "worse": "red", "same": "dim"}
    for one in found:
        word = f"[{colours[one.word]}]{one.word}[/]"
        shown.add_row(one.name, f"{one.old:,.2f}", f"{one.new:,.2f}", f"{one.ratio:.2f}", f"{one.noise:.0%}", word)
    return shown


def main() -> None:
    """Exit codes: 0 nothing is worse, 1 something is, 2 it could not be compared."""
    ask = argparse.ArgumentParser(prog="bench.against", description=__doc__)
    ask.add_argument("ref", help="a branch, a tag or a commit of this repository")
    ask.add_argument("--only", default="", help=f"parts, comma separated: {','.join(PARTS)}")
    ask.add_argument("--repeats", type=int, default=5, help="runs of each side, of which the median counts")
    ask.add_argument("--records", type=int, default=100_000, help="of hot and cold; replay proves twice as many")
    ask.add_argument("--output", type=Path, help="write the figures here, as JSON")
    given = ask.parse_args()
    parts = tuple(part for part in given.only.split(",") if part) or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        ask.error(f"unknown part {unknown[0]!r}; expected some of {', '.join(PARTS)}")
    console = Console()
    try:
        found = until_stopped(compare(given.ref, parts, given.repeats, given.records, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(130) from None
    except (ValueError, TimeoutError, BrokerError, runner.CompetitorError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    console.print(table(given.ref, found))
    if given.output is not None:
        figures: dict[str, Any] = {one.name: one._asdict() | {"verdict": one.word} for one in found}
        given.output.write_text(json.dumps({"ref": given.ref, "figures": figures}, indent=1) + "\n")
    raise SystemExit(any(one.word == "worse" for one in found))


if __name__ == "__main__":
    main()
