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
    """Run what was asked for. Returns 0 when it ran, whatever the score is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, over all packages; 0: every one")
    parser.add_argument("--seed", type=int, default=1, help="of the sample: the same mutants again for the same code")
    parser.add_argument("--only", default="", help="packages whose name begins so, such as agents/gating")
    parser.add_argument("--test-seconds", type=float, default=20.0, help="tests run for one mutant, the quickest first")
    given = parser.parse_args()
    tree.make(ROOT, WORK)
    _run("generate and map", [sys.executable, str(Path(__file__).with_name("prepare.py")), str(given.test_seconds)])
    mutants = sample.mutants_by_package(WORK, given.only)
    if not mutants:
        print(f"error: no package begins with {given.only!r}; expected one such as agents/gating", file=sys.stderr)
        return 2
    chosen = sample.choose(mutants, given.sample, random.Random(given.seed))
    names = [name for some in chosen.values() for name in some]
    covered = [name for name in names if sample.has_tests(WORK, name)]
    print(f"{len(names)} of {sum(map(len, mutants.values()))} mutants, {len(names) - len(covered)} without a test")
    if covered:
        _run("run", [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *covered])
    text = report.write(WORK, mutants, chosen, seed=given.seed, sample=given.sample)
    print(text)
    return 0


def _run(what: str, command: list[str]) -> None:
    """Run a step in the copy. Raises SystemExit where it fails."""
    done = subprocess.run(command, cwd=WORK, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False)
    if done.returncode:
        raise SystemExit(f"error: {what} ended with {done.returncode}; see above")


if __name__ == "__main__":
    sys.exit(main())
