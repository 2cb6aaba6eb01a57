"""What `make mutants` runs and what it reports, without running a mutant."""

import json
from pathlib import Path
from random import Random

import pytest
import report
import sample
import tree

ROOT = Path(__file__).resolve().parents[3]
FUNCTION = "endocrine.agents.gating.a.x_f"
NAMES = [f"{FUNCTION}__mutmut_{n}" for n in range(8)]
OTHER = "endocrine.agents.gating.a.x_g__mutmut_1"


def put(work: Path, codes: dict[str, int | None], tested: list[str]) -> None:
    """Write what mutmut leaves: exit codes of one module, and which functions a test reaches."""
    meta = work / "mutants/src/endocrine/agents/gating/a.py.meta"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": codes}))
    reached = {"tests_by_mangled_function_name": {name: ["some test"] for name in tested}}
    (work / "mutants/mutmut-stats.json").write_text(json.dumps(reached))


def test_a_sample_takes_of_each_package_by_its_lines_and_of_a_small_one_enough() -> None:
    assert sample.shares({"agents/gating": 900, "agents/bonds": 95, "agents/one": 5}, 100) == {
        "agents/gating": 90,
        "agents/bonds": 10,
        "agents/one": 5,
    }
    assert sample.shares({"agents/gating": 900}, 0) == {"agents/gating": 0}


def test_the_same_seed_chooses_the_same_mutants() -> None:
    chosen = sample.choose(NAMES, 3, Random(3))
    assert chosen == sample.choose(NAMES, 3, Random(3)) != sample.choose(NAMES, 3, Random(4))
    assert len(chosen) == 3
    assert set(chosen) <= set(NAMES)


@pytest.mark.parametrize("size", [0, 8, 10_000])
def test_without_a_sample_or_with_one_as_large_every_mutant_is_chosen(size: int) -> None:
    assert sample.choose(NAMES, size, Random(1)) == NAMES


def test_the_score_counts_what_no_test_reaches_as_alive_and_what_ended_its_process_as_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_shown", lambda work, name, state: f"{state} {name}")
    work = tmp_path / "agents-gating"
    put(work, {**dict(zip(NAMES, [1, 1, 3, 0, 36, -9, 1, 1], strict=True)), OTHER: None}, [FUNCTION])
    names = sample.mutants(work)
    assert names == sorted([*NAMES, OTHER])
    report.note(work, "agents/gating", names, names, "every mutant")
    text = report.score(tmp_path)
    assert "| agents/gating | 9 | 9 | 7 | 1 | 1 | 78 % |" in text
    assert "Score 77.8 %, sampling error 0.0 points (95 %): 9 of 9 run, every mutant." in text
    assert (work / "survivors.diff").read_text() == f"survived {NAMES[3]}\nno test {OTHER}"


def test_every_package_of_agents_and_core_is_mutated_by_tests_that_are_there() -> None:
    packages = tree.packages(ROOT)
    assert {"agents", "agents/gating", "agents/_shared", "pipeline/core"} <= set(packages)
    for package in packages:
        for folder in tree.TESTS.get(package, (Path(package).name,)):
            assert (ROOT / "tests" / "unit" / folder).is_dir(), package
