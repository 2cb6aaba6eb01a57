"""Calls that need a person: pending, then allowed, denied, or expired; never two answers more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.contract import Reject
from properties import examples

OUTSIDE = {"url": "https://elsewhere.example"}
INSIDE = {"url": "https://intranet.example/a"}
NEEDS = {"when": {"properties": {"url": {"not": {"pattern": "^https://intranet[.]example/"}}}, "required": ["url"]}}


@pytest.fixture
def careful(make_gate, shipped):
    """Opening an address outside the intranet needs a person, for 60 s."""
    browser = {**shipped("tools")["browser"], "approval": NEEDS}
    gate = make_gate(tools={"browser": browser}, approval_ttl_s=60.0, pending_calls=2)
    gate.open()
    gate.modulate()
    return gate


def ask(gate, call_id="c1", ts=100.0, **more):
    return gate.call("open_url", OUTSIDE, call_id=call_id, ts=ts, **more)


def brief(outputs):
    return [(one["call_id"], one["decision"], one["reason"], one["ts"]) for one in outputs if "decision" in one]


def test_a_call_that_matches_the_pattern_waits_and_names_the_rule_and_its_time(careful):
    [pending] = ask(careful)
    assert (pending["decision"], pending["reason"]) == ("pending", "awaiting_approval")
    assert (pending["rule"], pending["expires"], pending["incident_id"]) == ("tools.browser.approval", 160.0, None)


def test_a_call_that_does_not_match_is_allowed_at_once(careful):
    assert brief(careful.call("open_url", INSIDE, call_id="c1", ts=100.0)) == [("c1", "allowed", None, 100.0)]


def test_every_call_of_a_tool_may_need_a_person(make_gate, shipped):
    gate = make_gate(tools={"retrieval": {**shipped("tools")["retrieval"], "approval": {"when": True}}})
    gate.open()
    gate.modulate()
    assert gate.call()[0]["decision"] == "pending"


def test_an_approval_allows_the_call(careful):
    ask(careful)
    assert brief(careful.approve("c1", ts=120.0)) == [("c1", "allowed", None, 120.0)]


def test_a_denial_is_a_persons(careful):
    ask(careful)
    assert brief(careful.deny("c1", ts=120.0)) == [("c1", "denied", "approval_denied", 120.0)]


@pytest.mark.parametrize("how", ["tick", "result", "call", "close", "modulate", "open", "deny", "approve"])
def test_any_later_record_of_the_identity_lets_it_expire_and_that_is_no_denial(careful, how):
    ask(careful)
    later = {
        "tick": lambda: careful.tick(160.0),
        "result": lambda: careful.result(ts=170.0),
        "call": lambda: careful.call(call_id="c2", ts=170.0),
        "close": lambda: careful.close(ts=170.0),
        "deny": lambda: careful.deny("c2", ts=170.0),
        "approve": lambda: careful.approve("c2", ts=160.0),
    }
    if how in ("modulate", "open"):  # these fixtures' own time is before the expiry
        getattr(careful, how)(**({"revision": 1} if how == "modulate" else {"audit_id": "t2"}))
        assert brief(careful.tick(1e6)) == [("c1", "denied", "approval_expired", 160.0)]
        return
    if how in ("deny", "approve"):
        ask(careful, "c2", ts=150.0)
    assert brief(later[how]())[0] == ("c1", "denied", "approval_expired", 160.0)


def test_a_moment_before_its_time_it_still_waits(careful):
    ask(careful)
    assert careful.tick(159.999) == []
    assert brief(careful.approve("c1", ts=159.9995)) == [("c1", "allowed", None, 159.9995)]


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_a_command_after_expiry_changes_nothing_and_says_so(careful, command):
    ask(careful)
    careful.tick(200.0)
    before = careful.state
    with pytest.raises(Reject, match="has expired") as rejected:
        getattr(careful, command)("c1", ts=201.0)
    assert rejected.value.kind == "nothing_to_approve"
    assert careful.state == before


def test_a_late_approval_that_comes_first_is_answered_by_the_expiry_alone(careful):
    ask(careful)
    assert brief(careful.approve("c1", ts=161.0)) == [("c1", "denied", "approval_expired", 160.0)]
    assert careful.tick(162.0) == []


def test_a_second_approval_finds_nothing_to_approve(careful):
    ask(careful)
    careful.approve("c1")
    with pytest.raises(Reject, match="'c1'"):
        careful.approve("c1", ts=121.0)


def test_an_approved_call_is_held_to_the_turn_as_it_stands_then(careful):
    ask(careful)
    careful.call("delete_everything", {}, ts=110.0)
    decision, incident = careful.approve("c1", ts=120.0)
    assert (decision["decision"], decision["reason"]) == ("denied", "not_in_allowlist")
    assert incident["params_snapshot"]["mode"] == "strict"


def test_an_approved_call_meets_a_breaker_that_opened_meanwhile(careful):
    ask(careful)
    for _ in range(5):
        careful.result(status="error", ts=110.0)
    assert brief(careful.approve("c1", ts=120.0)) == [("c1", "denied", "circuit_open", 120.0)]


def test_a_turn_that_closes_denies_what_waits_for_a_person(careful):
    ask(careful)
    assert brief(careful.close(ts=110.0)) == [("c1", "denied", "turn_closed", 110.0)]
    with pytest.raises(Reject):
        careful.approve("c1")


def test_more_waiting_calls_than_there_is_room_for_are_denied(careful):
    ask(careful, "c1")
    ask(careful, "c2")
    assert brief(ask(careful, "c3")) == [("c3", "denied", "rate_limited", 100.0)]


def test_a_call_that_waited_for_its_modulation_may_then_wait_for_a_person(make_gate, shipped):
    gate = make_gate(tools={"browser": {**shipped("tools")["browser"], "approval": NEEDS}})
    gate.open()
    assert ask(gate) == []
    assert brief(gate.modulate()) == [("c1", "pending", "awaiting_approval", 100.0)]
    assert brief(gate.approve("c1")) == [("c1", "allowed", None, 120.0)]


def test_a_copy_of_a_pending_call_is_not_answered_again(careful):
    ask(careful)
    assert ask(careful) == []


def test_an_approval_of_an_id_that_two_turns_use_is_refused_and_a_denial_denies_both(careful):
    careful.open("t2")
    careful.modulate("t2")
    ask(careful)
    ask(careful, audit_id="t2")
    with pytest.raises(Reject, match="'t1', 't2'") as rejected:
        careful.approve("c1")
    assert rejected.value.kind == "ambiguous_call"
    assert [one["reason"] for one in careful.deny("c1")] == ["approval_denied"] * 2


def test_an_approved_call_takes_of_the_rate_limit_once(make_gate, shipped):
    gate = make_gate(
        tools={"browser": {**shipped("tools")["browser"], "approval": NEEDS}},
        rate_limits={"calls": 2, "window_s": 1000.0, "tools": {}},
    )
    gate.open()
    gate.modulate()
    ask(gate, "c1")
    ask(gate, "c2")
    assert brief(ask(gate, "c3"))[0][2] == "rate_limited"
    assert brief(gate.approve("c1"))[0][1] == "allowed"
    assert gate.state["rates"]["browser"][1] == 2


def test_an_incident_beside_an_expiry_names_its_own_place(careful):
    ask(careful)
    expired, decision, incident = careful.call("delete_everything", {}, ts=500.0, id="call-9")
    assert expired["reason"] == "approval_expired"
    assert decision["incident_id"] == incident["incident_id"] == "gating/call-9/2"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "approve", "deny", "tick", "close", "block"]),
        st.integers(0, 3),
        st.floats(0, 40),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=examples(100), deadline=None)
def test_a_call_has_at_most_one_final_decision_and_allows_only_before_its_time(make_gate, shipped, steps):
    gate = make_gate(
        tools={"browser": {**shipped("tools")["browser"], "approval": NEEDS}}, approval_ttl_s=60.0, pending_calls=2
    )
    gate.open()
    gate.modulate()
    now, said = 100.0, {}
    for kind, number, pause in steps:
        now += pause
        call_id = f"c{number}"
        try:
            outputs = {
                "ask": lambda call_id=call_id, now=now: ask(gate, call_id, ts=now),
                "approve": lambda call_id=call_id, now=now: gate.approve(call_id, ts=now),
                "deny": lambda call_id=call_id, now=now: gate.deny(call_id, ts=now),
                "tick": lambda now=now: gate.tick(now),
                "close": lambda now=now: gate.close(ts=now),
                "block": lambda now=now: gate.call("delete_everything", {}, call_id=f"x{now}", ts=now),
            }[kind]()
        except Reject:
            continue
        for one in outputs:
            if "decision" in one and one["reason"] != "conflicting_call":
                said.setdefault(one["call_id"], []).append(one)
    for decisions in said.values():
        kinds = [one["decision"] for one in decisions]
        assert kinds in (["allowed"], ["denied"], ["pending"], ["pending", "allowed"], ["pending", "denied"])
        if kinds[0] == "pending":
            for one in decisions[1:]:
                assert one["ts"] <= decisions[0]["expires"]
                assert (one["reason"] == "approval_expired") == (one["ts"] == decisions[0]["expires"])
    assert len(gate.state["pending"]) <= 2
