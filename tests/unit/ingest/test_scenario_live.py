"""The scenario as it is fed: nothing of it lies ahead of a broker's clock, and no call is too old to be decided."""

import orjson

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.process.policy_files import shipped_policy

BEGAN = 1_800_000_000.0
RULES = shipped_policy().document


def fed(number=0):
    return [scenario.live(line, number, BEGAN) for line in scenario.repeat(1, start=number)]


def test_no_line_lies_further_ahead_than_is_believed_and_windows_move_with_their_records():
    for line in fed():
        value = line["value"]
        assert value["ts"] - line["timestamp"] <= RULES.time.ahead_s
        if "window" in value:
            assert value["window"]["end_ts"] <= value["ts"]
            assert value["ts"] - value["window"]["end_ts"] < 10


def test_a_call_is_stale_only_where_the_story_has_it_a_day_ago():
    old = {
        line["value"]["identity"]
        for line in fed()
        if line["topic"] == "tool-calls" and BEGAN - line["value"]["ts"] > RULES.gating.stale_s
    }
    assert old <= {"gus"}


def test_each_identitys_records_keep_their_order_and_their_distances():
    for before, after in zip(scenario.lines(), fed(), strict=True):
        moved = ("ts", "window", "effective_from")
        assert {name: before["value"][name] for name in before["value"] if name not in moved} == {
            name: after["value"][name] for name in after["value"] if name not in moved
        }
    gus = [line["value"]["ts"] for line in fed() if line["value"].get("identity") == "gus"]
    as_written = [line["value"]["ts"] for line in scenario.lines() if line["value"].get("identity") == "gus"]
    assert [round(ts - gus[0], 2) for ts in gus] == [round(ts - as_written[0], 2) for ts in as_written]


def test_every_round_is_moved_to_when_it_begins():
    assert [line["value"]["ts"] for line in fed(3)] == [line["value"]["ts"] for line in fed()]


def test_no_line_of_it_is_a_dead_letter_in_simulate():
    world = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    assert [derived for line in fed() for derived in world.feed(orjson.dumps(line)) if derived.dead] == []
