"""Calls of a turn that a person must let through: they wait with it."""

import pytest

from endocrine.agents.contract import Reject

URL = {"url": "https://example.org"}


@pytest.fixture
def held(gate):
    gate.open()
    gate.modulate(refusal="held", mode="strict", allowlist=["retrieval"])
    return gate


def brief(outputs):
    return [(one["call_id"], one["decision"], one["reason"]) for one in outputs if "decision" in one]


def test_a_call_of_a_held_turn_waits_until_a_person_lets_the_turn_go_on(held):
    assert held.call(call_id="a") == []
    assert held.call("open_url", URL, call_id="b") == []
    assert held.modulate(revision=1, refusal="held", mode="strict", allowlist=["retrieval"]) == []
    decided = held.modulate(revision=2, mode="strict", allowlist=["retrieval"])
    assert brief(decided) == [("a", "allowed", None), ("b", "denied", "not_in_allowlist")]
    assert [one["revision"] for one in decided if "decision" in one] == [2, 2]


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("denied", "approval_denied"),
        ("hold_expired", "approval_expired"),
        ("rate_limited", "rate_limited"),
        ("budget_exceeded", "budget_exceeded"),
    ],
)
def test_what_waits_for_a_held_turn_is_denied_with_it(held, refusal, reason):
    assert held.call(call_id="a") == []
    assert brief(held.modulate(revision=1, refusal=refusal)) == [("a", "denied", reason)]
    assert brief(held.call(call_id="b")) == [("b", "denied", reason)]
    assert held.call(call_id="a") == []


def test_a_held_turn_that_closes_denies_what_waits(held):
    held.call(call_id="a")
    assert brief(held.close()) == [("a", "denied", "turn_closed")]


def test_the_calls_that_may_wait_for_a_held_turn_are_bounded(make_gate):
    gate = make_gate(waiting_calls=1)
    gate.open()
    gate.modulate(refusal="held")
    gate.call(call_id="a")
    with pytest.raises(Reject) as rejected:
        gate.call(call_id="b")
    assert rejected.value.kind == "too_many_waiting"


def test_a_turn_that_was_held_before_it_was_seen_opened_is_held(gate):
    gate.modulate(refusal="held")
    gate.open()
    assert gate.call() == []


def test_a_call_agreed_to_while_its_turn_is_held_waits_for_the_turn(make_gate, shipped):
    gate = make_gate(tools={"browser": {**shipped("tools")["browser"], "approval": {"when": True}}})
    gate.open()
    gate.modulate()
    assert brief(gate.call("open_url", URL, call_id="a")) == [("a", "pending", "awaiting_approval")]
    gate.modulate(revision=1, refusal="held")
    assert gate.approve("a", ts=130.0) == []
    (decision,) = gate.modulate(revision=2)
    assert (decision["decision"], decision["ts"]) == ("allowed", 130.0)
