"""Taking over entries of another ledger: what is taken, what is refused, and what the message counter makes of it."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.explain.sentences import sentence
from properties import examples

OLD = {"phase": "bonded", "daily_msg_cap": 40, "daily_msg_count": 39, "daily_msg_reset_at": 1000, "notes": ["n"] * 30}


def event(number):
    data = {"old": number - 1, "new": number}
    return {"timestamp": float(number), "event_type": "risk_change", "detail": f"e{number}", "data": data}


def outcome(outputs):
    return next(value["imported"]["outcome"] for value in outputs if "imported" in value)


def test_an_entry_is_taken_with_its_events_first_then_the_import_then_the_entry(ledger):
    first, second, imported, entry = ledger.adopt(OLD, [event(1), event(2)], id="import-1")
    assert [one | {"identity": "ann"} for one in (event(1), event(2))] == [first, second]
    assert (imported["event_type"], imported["detail"], imported["timestamp"]) == (
        "admin_action",
        "imported by op",
        2000.0,
    )
    assert imported["imported"] == {
        "command": "import-1",
        "outcome": "taken",
        "cap": 40,
        "count": 39,
        "reset_at": 1000.0,
    }
    assert (entry["user_id"], entry["phase"], entry["daily_msg_cap"], len(entry["notes"])) == ("ann", "bonded", 40, 20)
    _, entry = ledger.message(1500.0)
    assert entry["daily_msg_count"] == 40


def test_an_entry_that_is_there_stays_and_the_refusal_is_an_event(ledger):
    ledger.set_cap(3)
    before = ledger.state
    (refused,) = ledger.adopt(OLD, [event(1)])
    assert (refused["imported"]["outcome"], refused["imported"]["cap"]) == ("exists", None)
    assert ledger.state == before


def test_an_entry_that_is_there_is_replaced_where_that_is_asked(ledger):
    ledger.detect("bonding", ulm={"a": 0.5})
    *_, entry = ledger.adopt(OLD, replace=True)
    assert (entry["phase"], entry["peak_nodes"], entry["daily_msg_cap"]) == ("bonded", {}, 40)


def test_parts_are_taken_in_order_and_the_last_one_ends_the_import(ledger):
    assert ledger.adopt(OLD, [event(1)], part=1, parts=3) == [event(1) | {"identity": "ann"}]
    assert ledger.adopt(OLD, [event(2)], part=2, parts=3) == [event(2) | {"identity": "ann"}]
    ledger.message(1500.0)
    third, imported, entry = ledger.adopt(OLD, [event(3)], part=3, parts=3)
    assert (third["detail"], imported["imported"]["outcome"]) == ("e3", "taken")
    assert imported["imported"]["count"] == entry["daily_msg_count"] == 40, "a message between the parts is counted"
    assert "adopting" not in ledger.state


def test_parts_after_a_refused_one_say_nothing(ledger):
    ledger.set_cap(3)
    assert outcome(ledger.adopt(OLD, part=1, parts=2)) == "exists"
    assert ledger.adopt(OLD, [event(1)], part=2, parts=2) == []


@pytest.mark.parametrize(("part", "parts", "entry"), [(3, 3, OLD), (2, 4, OLD), (2, 3, {**OLD, "phase": "waning"})])
def test_a_part_that_does_not_follow_ends_the_import(ledger, part, parts, entry):
    ledger.adopt(OLD, part=1, parts=3)
    assert outcome(ledger.adopt(entry, [event(2)], part=part, parts=parts)) == "out_of_order"
    assert ledger.adopt(OLD, part=2, parts=3) == []


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"daily_msg_cap": "forty"}, "unreadable"),
        ({"peak_nodes": {"a": "high"}}, "unreadable"),
        ({"peak_nodes": {str(number): 0.1 for number in range(257)}}, "too_many_nodes"),
    ],
)
def test_an_entry_that_cannot_be_taken_changes_nothing_and_is_said(ledger, entry, why):
    assert outcome(ledger.adopt(entry)) == why
    assert ledger.state is None


def test_a_copy_of_a_part_acts_once(ledger):
    assert len(ledger.adopt(OLD, [event(1)], id="import-1")) == 3
    assert ledger.adopt(OLD, [event(1)], id="import-1") == []


@given(st.lists(st.integers(0, 3), max_size=8), st.integers(1, 4), st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_an_import_ends_once_whatever_messages_come_between_its_parts(make_ledger, messages, parts, replace):
    ledger = make_ledger()
    if replace:
        ledger.message(10.0)
    said = []
    for part in range(1, parts + 1):
        said += ledger.adopt(OLD, [event(part)], part=part, parts=parts, replace=replace)
        for _ in range(messages.count(part - 1)):
            ledger.message(1500.0)
    assert [value["detail"] for value in said if value.get("event_type") == "risk_change"] == [
        f"e{part}" for part in range(1, parts + 1)
    ]
    assert [value["imported"]["outcome"] for value in said if "imported" in value] == ["taken"]
    assert ledger.state["entry"]["daily_msg_count"] == 39 + sum(messages.count(part) for part in range(parts))


def test_with_all_agents_the_cap_that_was_taken_over_refuses_a_turn_and_state_is_a_sentence():
    lines = [
        ("commands", {"kind": "adopt_bond", "by": "op", "part": 1, "parts": 1, "events": [], "ts": 1000.0,
                      "entry": {"daily_msg_cap": 40, "daily_msg_count": 39, "daily_msg_reset_at": 1000.0}}),
        *(("interactions", {"kind": "opened", "audit_id": f"t{n}", "session_id": "s", "turn": n, "client": "c",
                            "prompt": "Which rivers?", "ts": 1001.0 + n}) for n in range(2)),
        ("commands", {"kind": "state_set", "by": "op", "category": "fact", "key": "k", "value": "v", "ts": 1003.0}),
    ]  # fmt: skip
    sizes = Sizes(value=1 << 20, headers=1 << 16, topic=1 << 21)
    simulation = Simulation(AGENTS, shipped_policy(), version="1", sizes=sizes, partitions=4)
    said = [
        (derived[0], orjson.loads(derived[2]))
        for topic, value in lines
        for derived in simulation.feed(orjson.dumps({"topic": topic, "value": {"identity": "ann", **value}}))
    ]
    assert [value["admitted"] for topic, value in said if topic == "modulations"] == [True, False]
    assert [value["daily_msg_count"] for topic, value in said if topic == "bonds"] == [39, 40]
    told = [sentence(topic, value, {}) for topic, value in said if topic == "state-events"]
    assert told == ["trusted ann [fact] k: set."]
