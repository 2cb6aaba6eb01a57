"""What `make mutants` runs and what it reports, without running a mutant."""

from pathlib import Path

import pytest
import report
import sample
import tree

ROOT = Path(__file__).resolve().parents[3]
NAMES = [f"endocrine.agents.gating.a.x_f__mutmut_{n}" for n in range(8)]
OTHER = "endocrine.pipeline.core.a.x_g__mutmut_1"


def test_the_same_seed_chooses_the_same_mutants_whatever_order_they_come_in():
    chosen = sample.choose(NAMES, 3, 3)
    assert chosen == sample.choose(NAMES[::-1], 3, 3) != sample.choose(NAMES, 3, 4)
    assert len(set(chosen)) == 3


def test_a_sample_is_in_random_order_so_that_a_run_cut_short_is_not_biased():
    assert sample.choose(NAMES, 8, 1) != sorted(NAMES)


@pytest.mark.parametrize("size", [0, 8, 10_000])
def test_without_a_sample_or_with_one_as_large_every_mutant_is_chosen(size):
    assert sorted(sample.choose(NAMES, size, 1)) == NAMES


def test_the_score_counts_what_no_test_reaches_as_alive_and_names_what_lives():
    states = {name: report.state_of(code) for name, code in zip(NAMES, [1, 1, 3, 0, 36, -9, -24, 1], strict=True)}
    text = report.score([*NAMES, OTHER], states | {OTHER: report.NO_TEST}, "every mutant")
    assert "| agents/gating | 8 | 8 | 7 | 1 | 0 | 88 % |" in text
    assert "| pipeline/core | 1 | 1 | 0 | 0 | 1 | 0 % |" in text
    assert f"- no test: `{OTHER}`\n- survived: `{NAMES[3]}`\n" in text
    assert "Score 77.8 %, sampling error 0.0 points (95 %): 9 of 9 run, every mutant." in text


def test_a_small_sample_has_a_sampling_error_even_where_all_are_killed():
    text = report.score([f"{NAMES[0]}{n}" for n in range(100)], {f"{NAMES[0]}1": report.KILLED}, "sample of 1, seed 1")
    assert "Score 100.0 %, sampling error 91.9 points (95 %): 1 of 100 run" in text


def test_every_package_of_agents_and_core_is_mutated_by_tests_that_are_there():
    packages = tree.packages(ROOT)
    assert {"agents", "agents/gating", "agents/_shared", "pipeline/core"} <= set(packages)
    for package in packages:
        assert tree.tests_of(ROOT, [package]), package
        for folder in tree.TESTS.get(package, (Path(package).name,)):
            assert (ROOT / "tests" / "unit" / folder).is_dir(), package
