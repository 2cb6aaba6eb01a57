"""The score of each package with its sampling error, and the survivors as diffs."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sample import has_tests

KILLED = "killed"
_STATES = {0: "survived", 1: KILLED, 3: KILLED, 5: "no test", 33: "no test", None: "not run"}
"""By exit code of pytest and mutmut. What ran out of time or ended its process was noticed, too."""


def write(
    work: Path, mutants: Mapping[str, Sequence[str]], chosen: Mapping[str, Sequence[str]], *, seed: int, sample: int
) -> str:
    """Write `score.md` and `survivors.diff`; return the score."""
    codes: dict[str, int | None] = {}
    for meta in (work / "mutants/src/endocrine").rglob("*.py.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    lines = ["| package | mutants | run | killed | survived | no test | score |", "|---|---|---|---|---|---|---|"]
    left: list[tuple[str, str]] = []
    total, score, variance = sum(map(len, mutants.values())), 0.0, 0.0
    killed_in_all = run_in_all = 0
    for package, names in sorted(chosen.items()):
        states = {name: _state(work, name, codes.get(name)) for name in names}
        left += [(name, state) for name, state in states.items() if state in ("survived", "no test")]
        found = list(states.values())
        killed, run = found.count(KILLED), len(found) - found.count("not run")
        killed_in_all, run_in_all = killed_in_all + killed, run_in_all + run
        size = len(mutants[package])
        rate = killed / run if run else 0.0
        likely = (killed + 1) / (run + 2)
        score += rate * size / total
        variance += (size / total) ** 2 * likely * (1 - likely) / max(1, run) * (1 - run / size)
        counts = f"{size} | {run} | {killed} | {found.count('survived')} | {found.count('no test')}"
        lines.append(f"| {package} | {counts} | {100 * rate:.0f} % |")
    error = 100 * 1.96 * math.sqrt(variance)
    which = f"a sample of {run_in_all} (asked for {sample}, seed {seed})" if sample else "every mutant"
    summary = f"Score {100 * score:.1f} %, sampling error {error:.1f} points (95 %)"
    lines += ["", f"{summary}: {killed_in_all} killed in {which} of {total}."]
    text = "\n".join(lines) + "\n"
    (work / "score.md").write_text(text)
    (work / "survivors.diff").write_text("\n".join(_shown(work, name, state) for name, state in left))
    return f"{text}{len(left)} survivors: {work / 'survivors.diff'}"


def _state(work: Path, name: str, code: int | None) -> str:
    if not has_tests(work, name):
        return "no test"
    return _STATES.get(code, KILLED)


def _shown(work: Path, name: str, state: str) -> str:
    command = [sys.executable, "-m", "mutmut", "show", name]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    return f"# {state}\n{done.stdout}"
