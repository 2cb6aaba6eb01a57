"""What was decided stays decided: conflicts, stale calls, and what memory does when it is full."""

import hashlib

import pytest

OTHER = {"query": "harmless"}
DANGER = {"query": "DANGER"}


@pytest.fixture
def careful(make_gate, shipped):
    """Every retrieval needs a person. Room for 300 calls."""
    gate = make_gate(
        tools={"retrieval": {**shipped("tools")["retrieval"], "approval": {"when": True}}},
        rate_limits={"calls": 100_000, "window_s": 60.0, "tools": {}},
        pending_calls=100_000,
        calls_remembered=300,
    )
    gate.open()
    gate.modulate()
    return gate


def brief(outputs):
    return [(one["call_id"], one["decision"], one["reason"]) for one in outputs if "decision" in one]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_decision_names_the_digest_of_the_canonical_arguments(ready):
    expected = digest('{"k":3,"query":"\u20ac"}')
    for arguments in ({"query": "\u20ac", "k": 3}, '{"k": 3, "query": "\\u20ac"}', ' {"query":"\u20ac" ,"k":3}\n'):
        assert ready.call(arguments=arguments)[0]["arguments_digest"] == expected
    assert ready.call(arguments={"wrong": 1})[0]["arguments_digest"] == digest('{"wrong":1}')


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"a":1,"a":2}', {"k": 2**53}, '{"k": 1e999}', {"a": "\ud800"}])
def test_arguments_that_cannot_be_read_have_no_digest_and_are_invalid(ready, arguments):
    (decision,) = ready.call(arguments=arguments)
    assert (decision["reason"], decision["arguments_digest"]) == ("invalid_arguments", None)


def test_arguments_too_long_to_be_checked_have_no_digest(make_gate):
    gate = make_gate(arguments_chars=1024)
    gate.open()
    gate.modulate()
    assert gate.call(arguments={"query": "x" * 2000})[0]["arguments_digest"] is None


def test_a_second_record_of_a_pending_call_is_denied_and_the_approval_is_of_the_first(careful):
    first = careful.call(call_id="c", arguments=DANGER)
    assert brief(first) == [("c", "pending", "awaiting_approval")]
    (second,) = careful.call(call_id="c", arguments=OTHER)
    assert brief([second]) == [("c", "denied", "conflicting_call")]
    assert second["arguments_digest"] != first[0]["arguments_digest"]
    (third,) = careful.approve("c")
    assert (third["decision"], third["arguments_digest"]) == ("allowed", first[0]["arguments_digest"])


@pytest.mark.parametrize("how", ["deny", "expire", "turn closes"])
def test_after_a_denial_the_id_is_never_allowed_again(careful, how):
    careful.call(call_id="c", arguments=DANGER, ts=105.0)
    ended = {
        "deny": lambda: careful.deny("c"),
        "expire": lambda: careful.tick(105.0 + 900),
        "turn closes": lambda: careful.close(),
    }[how]()
    assert ended[0]["decision"] == "denied"
    for ts in (130.0, 5_000.0, 1e6):
        assert brief(careful.call(call_id="c", arguments=OTHER, ts=ts)) == [("c", "denied", "conflicting_call")]
        assert careful.call(call_id="c", arguments=DANGER, ts=105.0) == []


@pytest.mark.parametrize("others", [256, 299, 300, 1000])
@pytest.mark.parametrize("denied", [True, False])
def test_no_flood_of_other_calls_frees_an_id_of_an_open_turn(careful, others, denied):
    careful.call(call_id="c", arguments=DANGER)
    if denied:
        careful.deny("c")
    for number in range(others):
        careful.call(call_id=f"x{number}", arguments=OTHER, ts=106.0 + number / 2)
    late = 106.0 + others / 2
    assert brief(careful.call(call_id="c", arguments=OTHER, ts=late)) == [("c", "denied", "conflicting_call")]
    if not denied:
        assert brief(careful.approve("c", ts=late))[0][1] == "allowed"


def test_a_call_of_an_open_turn_is_remembered_however_long_ago_it_was(careful):
    careful.call(call_id="c", arguments=DANGER)
    careful.deny("c")
    for number in range(300):
        careful.call(call_id=f"x{number}", audit_id="elsewhere", arguments=OTHER, ts=50_000.0)
    assert brief(careful.call(call_id="c", arguments=OTHER, ts=90_000.0)) == [("c", "denied", "conflicting_call")]
    assert brief(careful.call(call_id="d", arguments=OTHER, ts=90_000.0)) == [("d", "pending", "awaiting_approval")]


def test_beyond_its_room_a_turn_takes_no_further_call_and_what_was_denied_stays_denied(make_gate):
    gate = make_gate(calls_remembered=3, stale_s=100.0)
    gate.open()
    gate.modulate()
    assert [brief(gate.call(call_id=f"c{n}"))[0][2] for n in range(5)] == [None, None, None, *["rate_limited"] * 2]
    assert brief(gate.call(call_id="c4", arguments=OTHER, ts=9_999.0)) == [("c4", "denied", "rate_limited")]
    gate.close(ts=10_000.0)
    gate.open("t2", ts=20_000.0)
    gate.modulate("t2")
    assert brief(gate.call(call_id="c0", audit_id="t2", ts=20_000.0)) == [("c0", "allowed", None)]
    assert brief(gate.call(call_id="c4", ts=20_001.0)) == [("c4", "denied", "turn_closed")]


def test_a_turn_that_opens_after_calls_were_denied_without_being_remembered_takes_none(make_gate):
    gate = make_gate(calls_remembered=1, stale_s=100.0)
    gate.call(call_id="a", ts=100.0)
    assert brief(gate.call(call_id="b", ts=100.0)) == [("b", "denied", "unknown_turn")]
    gate.open(ts=150.0)
    gate.modulate()
    assert brief(gate.call(call_id="b", arguments=OTHER, ts=150.0)) == [("b", "denied", "rate_limited")]
    gate.close(ts=299.0)
    gate.open("t2", ts=300.0)
    gate.modulate("t2")
    assert brief(gate.call(call_id="b", audit_id="t2", ts=300.0)) == [("b", "allowed", None)]


def test_memory_goes_by_append_time_so_claimed_time_frees_nothing(make_gate):
    gate = make_gate(calls_remembered=2, stale_s=100.0)
    gate.appended = 1000.0
    gate.call(call_id="a", audit_id="gone", ts=1000.0)
    gate.call(call_id="b", audit_id="gone", ts=1290.0)
    gate.open("gone", ts=1290.0)
    gate.modulate("gone")
    assert brief(gate.call(call_id="c", audit_id="gone", ts=1290.0))[0][2] == "rate_limited"
    assert brief(gate.call(call_id="a", audit_id="gone", arguments=OTHER, ts=1290.0))[0][2] == "conflicting_call"


@pytest.mark.parametrize(("age", "reason"), [(900.0, None), (900.001, "stale_call"), (1e9, "stale_call")])
def test_a_call_appended_long_after_its_time_is_stale(ready, age, reason):
    (decision,) = ready.call(call_id="c", ts=2e9, appended=2e9 + age)
    assert (decision["reason"], decision["incident_id"]) == (reason, None)
    if reason:
        assert ready.call(call_id="c", ts=2e9, appended=2e9) == []
        assert ready.call(call_id="c", ts=2e9 + age, appended=2e9 + age)[0]["reason"] == "conflicting_call"


def test_without_an_append_time_no_call_is_stale(ready):
    ready.tick(1e9)
    assert ready.call(ts=5.0)[0]["decision"] == "allowed"


def test_a_stale_or_conflicting_call_does_not_wait_and_is_no_incident_whatever_it_asks_for(gate):
    gate.open()
    assert gate.call(call_id="c") == []
    (conflict,) = gate.call("delete_everything", {}, call_id="c")
    (stale,) = gate.call("delete_everything", {}, call_id="d", ts=105.0, appended=2000.0)
    assert [one["reason"] for one in (conflict, stale)] == ["conflicting_call", "stale_call"]
    assert [one["revision"] for one in (conflict, stale)] == [None, None]
    assert brief(gate.modulate()) == [("c", "allowed", None)]


def test_a_call_remembered_by_an_older_version_is_still_remembered(ready):
    ready.call(call_id="c")
    ready.state["calls"] = {which: entry[0] for which, entry in ready.state["calls"].items()}
    assert ready.call(call_id="c", arguments=OTHER)[0]["reason"] == "conflicting_call"


REVISIONS = [
    ({"mode": "balanced", "allowlist": ["retrieval", "browser"]}, 1),
    ({"mode": "balanced", "allowlist": ["retrieval"]}, 1),
    ({"mode": "strict", "allowlist": ["retrieval", "browser"]}, 1),
    ({"mode": "strict", "allowlist": ["retrieval"]}, 0),
    ({"mode": "strict", "allowlist": []}, 0),
]


@pytest.mark.parametrize(("force", "revision"), REVISIONS)
def test_an_incident_names_the_revision_that_tightens_the_turn_if_one_will_come(gate, force, revision):
    gate.open()
    gate.modulate(**force)
    assert gate.call(ts=1.0)[0]["revision"] == 0
    assert gate.call("delete_everything", {})[0]["revision"] == revision
    assert gate.call("delete_everything", {})[0]["revision"] == revision
    assert gate.call()[0]["revision"] == revision
    gate.modulate(revision=3, mode="strict", allowlist=["retrieval"])
    assert gate.call("delete_everything", {})[0]["revision"] == 3


def test_the_revision_that_a_decision_names_is_the_one_that_modulation_gives():
    """Against the modulation agent itself, for every mode and list that a turn may begin in."""
    from endocrine.agents.contract import Trigger
    from endocrine.agents.gating.agent import AGENT as GATE
    from endocrine.agents.modulation.agent import AGENT as MODULATION
    from endocrine.pipeline.process.policy_files import shipped_policy
    from endocrine.schemas.interactions import Opened
    from endocrine.schemas.modulations import Modulation
    from endocrine.schemas.tools import Incident, ToolCall

    policy = shipped_policy()
    for level in (0.0, 0.5, 0.95):
        opened = Opened.model_validate(
            {"kind": "opened", "audit_id": "t", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
             "prompt": "What causes the tides?", "signals": [{"name": "alignment_risk", "level": level}], "ts": 100.0}
        )  # fmt: skip
        turn, (first,) = MODULATION.process(None, Trigger("interactions", "o", "ann", opened), policy)
        state, _ = GATE.process(None, Trigger("interactions", "o", "ann", opened), policy)
        state, _ = GATE.process(
            state, Trigger("modulations", "m", "ann", Modulation.model_validate(dict(first.value))), policy
        )
        in_force = first.value["revision"]
        for number in range(2):
            call = ToolCall(
                call_id=f"c{number}", audit_id="t", identity="ann", tool="exec_code", arguments={}, step=1, ts=101.0
            )
            state, (decision, incident) = GATE.process(state, Trigger("tool-calls", f"c{number}", "ann", call), policy)
            incident = Incident.model_validate(dict(incident.value))
            turn, outputs = MODULATION.process(turn, Trigger("incidents", f"i{number}", "ann", incident), policy)
            in_force = outputs[0].value["revision"] if outputs else in_force
            assert decision.value["revision"] == in_force
