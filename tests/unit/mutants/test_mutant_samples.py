"""What `make mutants` runs and what it reports, without running a mutant."""

import json
from pathlib import Path
from random import Random

import pytest
import report
import sample

MUTANTS = {
    "agents/gating": [f"endocrine.agents.gating.a.x_f__mutmut_{n}" for n in range(900)],
    "agents/bonds": [f"endocrine.agents.bonds.a.x_f__mutmut_{n}" for n in range(90)],
    "agents/one": [f"endocrine.agents.one.a.x_f__mutmut_{n}" for n in range(3)],
}


def put(work: Path, codes: dict[str, int | None], tested: list[str]) -> None:
    """Write what mutmut leaves: exit codes of one module, and which functions a test reaches."""
    meta = work / "mutants/src/endocrine/agents/gating/a.py.meta"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": codes}))
    reached = {"tests_by_mangled_function_name": {name: ["some test"] for name in tested}}
    (work / "mutants/mutmut-stats.json").write_text(json.dumps(reached))


def test_a_sample_takes_of_each_package_by_its_share_and_of_a_small_one_enough() -> None:
    chosen = sample.choose(MUTANTS, 100, Random(3))
    assert {package: len(names) for package, names in chosen.items()} == {
        "agents/gating": 91,
        "agents/bonds": 9,
        "agents/one": 3,
    }
    assert all(set(names) <= set(MUTANTS[package]) for package, names in chosen.items())
    assert chosen == sample.choose(MUTANTS, 100, Random(3))
    assert chosen != sample.choose(MUTANTS, 100, Random(4))


@pytest.mark.parametrize("size", [0, 10_000])
def test_without_a_sample_every_mutant_is_chosen(size: int) -> None:
    assert sample.choose(MUTANTS, size, Random(1)) == MUTANTS


def test_the_score_counts_what_no_test_reaches_as_alive_and_what_ended_its_process_as_killed(tmp_path: Path) -> None:
    names = MUTANTS["agents/gating"][:8]
    other = "endocrine.agents.gating.a.x_g__mutmut_1"
    codes = dict(zip(names, [1, 1, 3, 0, 36, -9, 1, 1], strict=True))
    put(tmp_path, {**codes, other: None}, ["endocrine.agents.gating.a.x_f"])
    mutants = sample.mutants_by_package(tmp_path, "agents/ga")
    assert mutants == {"agents/gating": sorted([*names, other])}
    text = report.write(tmp_path, mutants, mutants, seed=1, sample=0)
    assert "| agents/gating | 9 | 9 | 7 | 1 | 1 | 78 % |" in text
    assert "Score 77.8 %, sampling error 0.0 points (95 %): 7 killed in every mutant of 9." in text
    assert sample.mutants_by_package(tmp_path, "pipeline") == {}
