"""Many schedules on all cores, one schedule in full, or every ablation: `python -m simbroker --help`."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from simbroker.ablations import ABLATIONS
from simbroker.broker import told
from simbroker.checks import check
from simbroker.schedule import Design, run

CHUNK = 200
SHOWN = 10
"""Failing seeds told of in full."""
ABLATED = 2000

Outcome = tuple[int, list[str]]


def attempt(seed: int, part: str | None = None) -> Outcome:
    """A schedule's failures; part: the ablation, None for the full design."""
    return seed, run(seed, ABLATIONS[part] if part else Design(), check=check)[1]


def _prepare() -> None:
    """Of a process: what was imported is no garbage, and a schedule leaves little."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _chunk(job: tuple[int, int, str | None]) -> tuple[int, list[Outcome]]:
    first, count, part = job
    outcomes = (attempt(seed, part) for seed in range(first, first + count))
    return count, [outcome for outcome in outcomes if outcome[1]]


def campaign(
    count: int, *, first: int = 0, part: str | None = None, workers: int | None = None
) -> Iterator[tuple[int, list[Outcome]]]:
    """Yields (schedules done, failing ones) chunk by chunk, in order of seeds. workers: processes; None: one a core."""
    jobs = [(at, min(CHUNK, first + count - at), part) for at in range(first, first + count, CHUNK)]
    processes = min(workers or os.cpu_count() or 1, len(jobs))
    with multiprocessing.get_context("spawn").Pool(processes, _prepare) as pool:
        yield from pool.imap(_chunk, jobs)


def failing(count: int, *, first: int = 0, part: str | None = None, workers: int | None = None) -> list[Outcome]:
    """The failing schedules of a campaign."""
    return [outcome for _, bad in campaign(count, first=first, part=part, workers=workers) for outcome in bad]


def replay(seed: int, part: str | None) -> int:
    """Print a schedule's trace and failures; 1 if there are any."""
    world, failures = run(seed, ABLATIONS[part] if part else Design(), check=check)
    print(*map(told, world.broker.trace), sep="\n")
    print(*failures or ["no failure"], sep="\n")
    return bool(failures)


def many(count: int, first: int, part: str | None) -> int:
    """Run schedules with progress on stderr and a summary on stdout; 1 if any fails."""
    begun, done, failed, shown = time.monotonic(), 0, 0, 0.0
    for size, bad in campaign(count, first=first, part=part):
        done += size
        for seed, failures in islice(bad, max(0, SHOWN - failed)):
            option = f" --ablation {part!r}" if part else ""
            print(f"seed {seed} fails; replay it: python -m simbroker --seed {seed}{option}")
            print(*(f"    {failure}" for failure in failures[:5]), sep="\n")
        failed += len(bad)
        took = time.monotonic() - begun
        if took - shown > 10:
            shown, left = took, (count - done) * took / done
            print(f"{done} of {count}, {failed} failed, {done / took:.0f}/s, {left:.0f} s left", file=sys.stderr)
    took = time.monotonic() - begun
    print(f"{failed} of {count} schedules failed (from seed {first}; {took:.1f} s, {count / took:.0f}/s)")
    return bool(failed)


def ablations(count: int) -> int:
    """Run schedules of every ablation; 1 if one of them shows no failure."""
    unnoticed = 0
    for part in ABLATIONS:
        bad = failing(count, part=part)
        unnoticed += not bad
        kinds = Counter(kind for _, failures in bad for kind in {" ".join(told.split()[:2]) for told in failures})
        first = f"first: seed {bad[0][0]}" if bad else "NOT NOTICED"
        common = ", ".join(f"{kind}: {number}" for kind, number in kinds.most_common(4))
        print(f"{part:33} {len(bad):6} of {count} fail ({first})  {common}", flush=True)
    return bool(unnoticed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m simbroker", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, help="schedules to run (default 10000; of each ablation 2000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default 0)")
    parser.add_argument("--seed", type=int, help="run this one and print its trace and failures")
    parser.add_argument("--ablation", choices=list(ABLATIONS), help="with this part taken away")
    parser.add_argument("--ablations", action="store_true", help="every part taken away in turn")
    asked = parser.parse_args()
    if asked.count is not None and asked.count < 1:
        parser.error(f"{asked.count} schedules; expected at least 1")
    if asked.seed is not None:
        return replay(asked.seed, asked.ablation)
    if asked.ablations:
        return ablations(asked.count or ABLATED)
    return many(asked.count or 10_000, asked.first, asked.ablation)
