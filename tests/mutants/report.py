"""The score over all mutants and of each package, with its sampling error, as Markdown."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from sample import package_of

KILLED, SURVIVED, NO_TEST = "killed", "survived", "no test"


def state_of(exit_code: int) -> str:
    """Return what became of a mutant by the exit code of pytest. What ran out of time or ended its process is killed.

    >>> [state_of(code) for code in (0, 1, 5, -24)]
    ['survived', 'killed', 'no test', 'killed']
    """
    return {0: SURVIVED, 5: NO_TEST}.get(exit_code, KILLED)


def score(names: Sequence[str], states: Mapping[str, str], how: str) -> str:
    """Return a table of the packages, the score, and the mutants that live.

    names: every mutant there is. states: what became of each that was run.
    """
    sizes, run = Counter(map(package_of, names)), Counter(map(package_of, states))
    counts = Counter((package_of(name), state) for name, state in states.items())
    lines = ["| package | mutants | run | killed | survived | no test | score |", "|---|---|---|---|---|---|---|"]
    for package in sorted(run):
        killed, survived, untested = (counts[package, state] for state in (KILLED, SURVIVED, NO_TEST))
        lines.append(
            f"| {package} | {sizes[package]} | {run[package]} | {killed} | {survived} | {untested} | "
            f"{100 * killed / run[package]:.0f} % |"
        )
    killed = sum(state == KILLED for state in states.values())
    alive = sorted(f"- {state}: `{name}`" for name, state in states.items() if state != KILLED)
    lines += ["", *alive, ""] if alive else [""]
    share = 100 * killed / max(1, len(states))
    lines.append(
        f"Score {share:.1f} %, sampling error {100 * _error(killed, len(states), len(names)):.1f} points (95 %): "
        f"{len(states)} of {len(names)} run, {how}."
    )
    return "\n".join(lines) + "\n"


def _error(killed: int, run: int, size: int) -> float:
    """Half the 95 % interval of a share of a sample without putting back; two are added, so that it is never none."""
    likely = (killed + 1) / (run + 2)
    return 1.96 * math.sqrt(likely * (1 - likely) / max(1, run) * (1 - run / max(1, size)))
