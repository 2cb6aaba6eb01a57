"""The runtime's own code under random schedules: the full design never fails, every ablation of it does."""

import subprocess
import sys
from pathlib import Path

import pytest

from simbroker.ablations import ABLATIONS
from simbroker.campaign import attempt, failing
from simbroker.checks import check
from simbroker.schedule import run

SUPPORT = Path(__file__).parents[1] / "support"
SCHEDULES = 100
"""`make dst` runs 10,000, and CI runs it."""
ENOUGH = 10_000
"""Schedules within which every ablation is noticed; the least common one shows in about one of 1000."""


def test_schedules_of_the_full_design_do_not_fail():
    bad = failing(SCHEDULES)
    assert not bad, "\n".join(f"python -m simbroker --seed {seed}: {told[:3]}" for seed, told in bad[:5])


SLOW = "a store of any age taken up"
"""Some hundred schedules until one fails."""


@pytest.mark.parametrize(
    "part", [pytest.param(one, marks=pytest.mark.slow if one == SLOW else ()) for one in ABLATIONS]
)
def test_taking_one_part_away_is_noticed(part):
    noticed = next((seed for seed in range(ENOUGH) if attempt(seed, part)[1]), None)
    assert noticed is not None, f"{ENOUGH} schedules without {part!r}, and none fails: the simulation is too weak"


def test_a_seed_gives_the_same_schedule_again():
    first, again = (run(4, check=check)[0].broker for _ in range(2))
    assert first.trace == again.trace
    assert first.topics == again.topics
    assert len(first.trace) > 20


def test_schedules_reach_what_they_are_meant_to_reach():
    """Crashes, zombies, misfits, dead letters, refusals, retries, mending: each happens within a hundred schedules."""
    seen = set()
    for seed in range(350):
        world, _ = run(seed, check=check)
        for event in world.broker.trace:
            seen.add(event[0] if len(event) == 1 else str(event[0]).split()[0])
        for (topic, _), log in world.broker.topics.items():
            if topic.endswith(".dlq"):
                seen.update(dict(raw.headers)["endocrine-error-kind"].decode() for raw in log if raw is not None)
            if topic == "journal":
                seen.update("refused" for raw in log if raw is not None and b'"refused"' in raw.value)
            for raw in log:
                if raw is not None and "endocrine-rekeyed-from" in dict(raw.headers) and topic[0] in "sd":
                    seen.add(f"re-keyed {topic[0]}")
    wanted = {"crash", "pause", "fenced:", "stopped:", "a zombie is fenced", "re-keyed s", "re-keyed d", "refused"} | {
        "transaction"
    }
    assert wanted <= seen
    assert {"not_json", "too_long", "conflicting_id", "too_large_result"} <= seen


def test_a_failing_seed_is_printed_and_can_be_replayed():
    def simulate(*arguments):
        argv = [sys.executable, "-m", "simbroker", *arguments, "--ablation", "no re-produce"]
        return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=SUPPORT)

    many = simulate("30")
    assert many.returncode == 1
    line = next(line for line in many.stdout.splitlines() if line.startswith("seed "))
    seed = line.split()[1]
    assert f"--seed {seed} --ablation 'no re-produce'" in line
    one = simulate("--seed", seed)
    assert one.returncode == 1
    assert "epoch at" in one.stdout
    assert any(told[:2] in ("1 ", "2 ", "3 ", "4 ") for told in one.stdout.splitlines()[-3:])
