"""Which mutants are run: all, or so many of each package by its share."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

LEAST = 5
"""Mutants of each package that a sample holds, where it has so many: a small package is not left out."""
_SOURCE = Path("mutants/src/endocrine")


def mutants_by_package(work: Path, only: str) -> dict[str, list[str]]:
    """Names of the mutants of each package (`agents/gating`, `pipeline/core`) whose name begins with `only`."""
    found: dict[str, list[str]] = defaultdict(list)
    for meta in sorted((work / _SOURCE).rglob("*.py.meta")):
        package = "/".join(meta.relative_to(work / _SOURCE).parent.parts)
        if package.startswith(only):
            found[package] += sorted(json.loads(meta.read_text())["exit_code_by_key"])
    return {package: names for package, names in found.items() if names}


def choose(mutants: Mapping[str, Sequence[str]], size: int, chance: Random) -> dict[str, list[str]]:
    """A stratified sample of about `size` mutants; every one for 0."""
    total = sum(map(len, mutants.values()))
    if not size or size >= total:
        return {package: list(names) for package, names in mutants.items()}
    return {
        package: sorted(chance.sample(names, min(len(names), max(LEAST, round(size * len(names) / total)))))
        for package, names in mutants.items()
    }


def has_tests(work: Path, name: str) -> bool:
    """Whether a test reaches the function of a mutant; mutmut refuses to run one that none reaches."""
    function = name.rpartition("__mutmut_")[0]
    return bool(_tests(work).get(function))


_read: dict[Path, dict[str, list[str]]] = {}


def _tests(work: Path) -> dict[str, list[str]]:
    if work not in _read:
        _read[work] = json.loads((work / "mutants/mutmut-stats.json").read_text())["tests_by_mangled_function_name"]
    return _read[work]
