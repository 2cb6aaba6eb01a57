"""Mutation testing of agents/ and pipeline/core: `make mutants`, or `make mutants SAMPLE=400 ONLY=agents/gating`.

mutmut changes one expression at a time and runs the tests that reach its function, the quickest first; a mutant that
no test fails on has survived. It works on a copy of the project below build/mutants, in which the packages lie as they
are imported. Without a sample every mutant is run, which takes hours. Score and survivors go to build/mutants/.
"""

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

import report
import sample
import tree

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"


def main() -> int:
    """Run what was asked for. Returns 0 when it ran, whatever the score is; 1 when a package could not be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, over all packages; 0: every one")
    parser.add_argument("--seed", type=int, default=1, help="of the sample: the same mutants again for the same code")
    parser.add_argument("--only", default="", help="packages whose name begins so, such as agents/gating")
    parser.add_argument("--test-seconds", type=float, default=20.0, help="tests run for one mutant, the quickest first")
    given = parser.parse_args()
    shares = sample.shares(tree.packages(ROOT), given.sample)
    asked = [package for package in shares if package.startswith(given.only)]
    if not asked:
        print(f"error: no package begins with {given.only!r}; known are {', '.join(shares)}", file=sys.stderr)
        return 2
    how = f"sample of {given.sample}, seed {given.seed}" if given.sample else "every mutant"
    failed = [one for one in asked if not _package(one, shares[one], given.seed, given.test_seconds, how)]
    print(report.score(WORK))
    print(f"survivors: {WORK}/*/survivors.diff")
    if failed:
        print(f"error: could not be run, see above: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _package(package: str, share: int, seed: int, seconds: float, how: str) -> bool:
    """Run `share` mutants of a package (0: every one). Returns whether it could be run."""
    work = WORK / package.replace("/", "-")
    tree.make(ROOT, work, package)
    if not _run([sys.executable, str(Path(__file__).with_name("prepare.py")), str(seconds)], work):
        return False
    names = sample.mutants(work)
    chosen = sample.choose(names, share, random.Random(f"{seed} {package}"))
    reached = sample.tested(work)
    covered = [name for name in chosen if sample.function_of(name) in reached]
    print(f"{package}: {len(chosen)} of {len(names)} mutants, {len(chosen) - len(covered)} without a test", flush=True)
    ran = not covered or _run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *covered], work)
    report.note(work, package, names, chosen, how)
    return ran


def _run(command: list[str], work: Path) -> bool:
    """Run a step in the copy."""
    return subprocess.run(command, cwd=work, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
