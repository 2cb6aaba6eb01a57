"""Mutation testing of agents/ and pipeline/core: `make mutants SAMPLE=400 MINUTES=40`, or `ONLY=agents/gating`.

mutmut changes one expression at a time; each mutant runs the tests that reach its function, the quickest first, until
one fails; one that no test fails on has survived. All is done on a copy of the project below build/mutants, in which
the packages lie as they are imported. Without a sample every mutant is run, which takes hours.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import tree

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"


def main() -> int:
    """Run what was asked for. Returns 0 when it ran, whatever the score is; 1 when it could not be run."""
    begun = time.time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, over all packages; 0: every one")
    parser.add_argument("--seed", type=int, default=1, help="of the sample: the same mutants again for the same code")
    parser.add_argument("--only", default="", help="packages whose name begins so, such as agents/gating")
    parser.add_argument("--minutes", type=float, default=0.0, help="no mutant is begun after so many; 0: no bound")
    parser.add_argument("--test-seconds", type=float, default=10.0, help="tests run for one mutant, the quickest first")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="mutants at the same time")
    given = parser.parse_args()
    asked = [package for package in tree.packages(ROOT) if package.startswith(given.only)]
    if not asked:
        print(f"error: no package begins with {given.only!r}; expected of: {', '.join(tree.packages(ROOT))}")
        return 2
    work = WORK / (given.only.replace("/", "-") or "all")
    tree.make(ROOT, work, asked)
    deadline = begun + 60 * given.minutes if given.minutes else 0.0
    numbers = (given.sample, given.seed, deadline, given.test_seconds, given.children)
    command = [sys.executable, str(Path(__file__).with_name("run.py")), *map(str, numbers)]
    code = subprocess.run(command, cwd=work, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False).returncode
    if code:
        print(f"error: not all was run, see above ({work})", file=sys.stderr)
    return min(1, abs(code))


if __name__ == "__main__":
    sys.exit(main())
