"""Which mutants are run: all, or so many of each package by its share."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

LEAST = 5
"""Mutants of each package that a sample holds, where it has so many: a small package is not left out."""
META = "mutants/src/endocrine"


def shares(lines: Mapping[str, int], size: int) -> dict[str, int]:
    """How many mutants to run of each package, by its lines of code; 0: every one."""
    total = sum(lines.values())
    return {package: max(LEAST, round(size * count / total)) if size else 0 for package, count in lines.items()}


def mutants(work: Path) -> list[str]:
    """Names of the mutants that were made in a copy."""
    names: list[str] = []
    for meta in sorted((work / META).rglob("*.py.meta")):
        names += sorted(json.loads(meta.read_text())["exit_code_by_key"])
    return names


def choose(names: Sequence[str], size: int, chance: Random) -> list[str]:
    """`size` of these mutants, or every one for 0 and where there are no more."""
    return sorted(chance.sample(names, size)) if 0 < size < len(names) else list(names)


def tested(work: Path) -> set[str]:
    """The functions that a test reaches, as they are named before `__mutmut_`."""
    stats = work / "mutants/mutmut-stats.json"
    if not stats.exists():
        return set()
    reached = json.loads(stats.read_text())["tests_by_mangled_function_name"]
    return {function for function, tests in reached.items() if tests}


def function_of(name: str) -> str:
    """The function of a mutant."""
    return name.rpartition("__mutmut_")[0]
