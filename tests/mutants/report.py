"""The score of each package with its sampling error, and the survivors as diffs."""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sample import META, function_of, tested

KILLED = "killed"
_STATES = {0: "survived", 1: KILLED, 3: KILLED, 5: "no test", 33: "no test", None: "not run"}
"""By exit code of pytest and mutmut. What ran out of time or ended its process was noticed, too."""


def note(work: Path, package: str, names: Sequence[str], chosen: Sequence[str], how: str) -> None:
    """Write what became of the chosen mutants of one package: `result.json` and `survivors.diff` in its copy."""
    codes: dict[str, int | None] = {}
    for meta in (work / META).rglob("*.py.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    reached = tested(work)
    states = {
        name: _STATES.get(codes.get(name), KILLED) if function_of(name) in reached else "no test" for name in chosen
    }
    counts = Counter(states.values())
    result = {"package": package, "mutants": len(names), "how": how, "run": len(chosen) - counts["not run"], **counts}
    (work / "result.json").write_text(json.dumps(result))
    left = [(name, state) for name, state in states.items() if state in ("survived", "no test")]
    (work / "survivors.diff").write_text("\n".join(_shown(work, name, state) for name, state in left))


def score(folder: Path) -> str:
    """The table of all packages that were run, as Markdown, with the score over them; also written to `score.md`."""
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("*/result.json"))]
    lines = ["| package | mutants | run | killed | survived | no test | score |", "|---|---|---|---|---|---|---|"]
    total, score, variance = sum(one["mutants"] for one in results), 0.0, 0.0
    for one in results:
        killed, run, size = one.get(KILLED, 0), one["run"], one["mutants"]
        counts = f"{size} | {run} | {killed} | {one.get('survived', 0)} | {one.get('no test', 0)}"
        lines.append(f"| {one['package']} | {counts} | {100 * killed / max(1, run):.0f} % |")
        score += killed / max(1, run) * size / max(1, total)
        variance += (size / max(1, total)) ** 2 * _variance(one)
    error = 100 * 1.96 * math.sqrt(variance)
    how = ", ".join(sorted({one["how"] for one in results}))
    run = sum(one["run"] for one in results)
    lines += ["", f"Score {100 * score:.1f} %, sampling error {error:.1f} points (95 %): {run} of {total} run, {how}."]
    text = "\n".join(lines) + "\n"
    (folder / "score.md").write_text(text)
    return text


def _variance(result: dict[str, Any]) -> float:
    """Of a package's share killed, as a sample without putting back; two are added, so that none has no error."""
    run, size = result["run"], result["mutants"]
    likely = (result.get(KILLED, 0) + 1) / (run + 2)
    return float(likely * (1 - likely) / max(1, run) * (1 - run / max(1, size)))


def _shown(work: Path, name: str, state: str) -> str:
    command = [sys.executable, "-m", "mutmut", "show", name]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    return f"# {state}\n{done.stdout}"
