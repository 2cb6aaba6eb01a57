"""The gate over the life of a turn: waiting, incidents, the cut, copies, closing, bounds."""

import hashlib
import hmac

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.prompt_keys import fingerprint
from endocrine.agents.contract import Reject
from endocrine.agents.gating.agent import AGENT
from endocrine.agents.gating.decision import INCIDENTS
from endocrine.schemas.modulations import Modulation, Parameters
from properties import examples


def test_an_allowed_call_gives_one_decision_and_nothing_else(ready):
    assert ready.call(call_id="c1", ts=105.5) == [
        {
            "call_id": "c1",
            "audit_id": "t1",
            "identity": "ann",
            "function": "retrieve_knowledge",
            "tool": "retrieval",
            "decision": "allowed",
            "reason": None,
            "incident_id": None,
            "policy": "0" * 64,
            "ts": 105.5,
            "arguments_digest": hashlib.sha256(b'{"query":"peptides"}').hexdigest(),
            "revision": 0,
            "message": None,
        }
    ]


def test_a_blocked_call_is_an_incident_with_what_was_in_force_before_the_cut(ready):
    decision, incident = ready.call("schedule_task", {"when": "w", "note": "n"}, id="call-7", ts=105.5)
    assert decision["incident_id"] == incident["incident_id"] == "gating/call-7/1"
    assert incident == {
        "incident_id": "gating/call-7/1",
        "kind": "tool_blocked",
        "audit_id": "t1",
        "identity": "ann",
        "attempted": "schedule_task",
        "reason": "not_in_allowlist",
        "params_snapshot": {"allowlist": ["retrieval", "browser"], "mode": "balanced"},
        "prompt_hmac": None,
        "policy": "0" * 64,
        "ts": 105.5,
    }


def test_the_second_call_of_a_reply_meets_the_cut_list_at_once(ready):
    assert ready.call("open_url", {"url": "u"})[0]["decision"] == "allowed"
    ready.call("delete_everything", {})
    decision, incident = ready.call("open_url", {"url": "u"})
    assert decision["reason"] == "not_in_allowlist"
    assert incident["params_snapshot"] == {"allowlist": ["retrieval"], "mode": "strict"}
    assert ready.call("retrieve_knowledge")[0]["decision"] == "allowed"


def test_no_later_modulation_undoes_the_cut(ready):
    ready.call("delete_everything", {})
    ready.modulate(revision=1, allowlist=["retrieval", "browser", "scheduler"], mode="creative")
    decision, incident = ready.call("open_url", {"url": "u"})
    assert decision["reason"] == "not_in_allowlist"
    assert incident["params_snapshot"] == {"allowlist": ["retrieval"], "mode": "strict"}


def test_a_policy_with_a_wider_strict_list_does_not_undo_a_cut(ready, make_policy):
    ready.call("delete_everything", {})
    ready.policy = make_policy(strict_allowlist=("retrieval", "browser"))
    assert ready.call("open_url", {"url": "u"})[0]["reason"] == "not_in_allowlist"


def test_a_cut_adds_no_tool_that_the_turn_had_not(gate):
    gate.open()
    gate.modulate(allowlist=["browser"])
    gate.call("delete_everything", {})
    assert gate.call("retrieve_knowledge")[0]["reason"] == "not_in_allowlist"
    gate.modulate(revision=1, allowlist=["retrieval"])
    assert gate.call("retrieve_knowledge")[0]["reason"] == "not_in_allowlist"


def test_the_cut_is_the_turns_alone(ready):
    ready.call("delete_everything", {})
    ready.open("t2")
    ready.modulate("t2")
    assert ready.call("open_url", {"url": "u"}, audit_id="t2")[0]["decision"] == "allowed"


@pytest.mark.parametrize(
    ("tool", "arguments", "step"), [("retrieval", {}, 1), ("open_url", {}, 1), ("open_url", {"url": "u"}, 7)]
)
def test_other_denials_leave_the_turn_as_it_was(ready, tool, arguments, step):
    (decision,) = ready.call(tool, arguments, step=step)
    assert decision["decision"] == "denied"
    assert ready.call("open_url", {"url": "u"})[0]["decision"] == "allowed"


def test_step_six_is_the_last(ready):
    assert ready.call(step=6)[0]["decision"] == "allowed"
    assert ready.call(step=7)[0]["reason"] == "step_limit"


def test_the_latest_revision_is_in_force_and_an_older_one_changes_nothing(ready):
    ready.modulate(revision=2, allowlist=["retrieval"], mode="strict")
    ready.modulate(revision=1, allowlist=["retrieval", "browser"])
    ready.modulate(revision=2, allowlist=["retrieval", "browser"])
    assert ready.call("open_url", {"url": "u"})[0]["reason"] == "not_in_allowlist"


def test_calls_wait_for_the_first_modulation_and_are_decided_in_order(gate):
    gate.open()
    assert gate.call("open_url", {"url": "u"}, call_id="a", ts=101.0) == []
    assert gate.call("delete_everything", {}, call_id="b", ts=102.0) == []
    assert gate.call("open_url", {"url": "u"}, call_id="c", ts=103.0) == []
    first, second, incident, third, again = gate.modulate()
    assert [(d["call_id"], d["reason"], d["ts"]) for d in (first, second, third)] == [
        ("a", None, 101.0),
        ("b", "unknown_tool", 102.0),
        ("c", "not_in_allowlist", 103.0),
    ]
    assert second["incident_id"] == incident["incident_id"] == "gating/modulations/5/2"
    assert third["incident_id"] == again["incident_id"] == "gating/modulations/5/4"
    assert again["params_snapshot"] == {"allowlist": ["retrieval"], "mode": "strict"}
    assert gate.modulate(revision=1) == []


def test_a_decision_says_the_same_whether_the_call_waited_or_not(make_gate):
    waited, prompt = make_gate(), make_gate()
    waited.open()
    prompt.open()
    prompt.modulate()
    assert waited.call(call_id="a") == []
    assert waited.modulate() == prompt.call(call_id="a")


def test_what_waits_holds_no_arguments(gate):
    gate.open(prompt="a very private prompt")
    gate.call(arguments={"query": "a very private query"})
    assert b"private" not in orjson.dumps(gate.state)


def test_what_waits_when_the_turn_closes_is_denied_and_no_incident(gate):
    gate.open()
    gate.call("delete_everything", {}, call_id="a")
    gate.call(call_id="b")
    assert [(d["call_id"], d["reason"]) for d in gate.close()] == [("a", "turn_closed"), ("b", "turn_closed")]
    assert gate.modulate() == []


def test_too_many_waiting_calls_are_rejected_and_can_come_again(make_gate):
    gate = make_gate(waiting_calls=2)
    gate.open()
    gate.call(call_id="a")
    gate.call(call_id="b")
    with pytest.raises(Reject, match="expected at most 2") as rejected:
        gate.call(call_id="c")
    assert rejected.value.kind == "too_many_waiting"
    assert len(gate.modulate()) == 2
    assert gate.call(call_id="c")[0]["decision"] == "allowed"


def test_a_modulation_that_comes_before_its_opening_is_kept_for_it(gate):
    gate.modulate()
    assert gate.call(call_id="a")[0]["reason"] == "unknown_turn"
    gate.open()
    assert gate.call(call_id="b")[0]["decision"] == "allowed"


def test_a_refused_turn_denies_its_calls_with_the_refusal(gate):
    gate.open()
    gate.modulate(refusal="rate_limited")
    assert gate.call()[0]["reason"] == "rate_limited"


@pytest.mark.parametrize(("admitted", "refusal"), [(False, None), (True, "rate_limited")])
def test_a_modulation_that_contradicts_itself_is_rejected(ready, admitted, refusal):
    parameters = Parameters.model_construct(tool_allowlist=["retrieval"])
    value = Modulation.model_construct(
        audit_id="t1",
        identity="ann",
        revision=1,
        admitted=admitted,
        refusal=refusal,
        mode="strict",
        parameters=parameters,
        ts=100.0,
    )
    with pytest.raises(Reject, match="'t1'") as rejected:
        ready.feed("modulations", value)
    assert rejected.value.kind == "inconsistent_modulation"


def test_a_copy_of_a_call_is_answered_once(ready):
    assert len(ready.call(call_id="a", id="r1")) == 1
    assert ready.call(call_id="a", id="r2") == []
    ready.close()
    assert ready.call(call_id="a", id="r3") == []


def test_a_copy_of_a_waiting_call_waits_once(gate):
    gate.open()
    gate.call(call_id="a")
    gate.call(call_id="a")
    assert len(gate.modulate()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"tool": "open_url"},
        {"arguments": {"query": "other"}},
        {"arguments": '{"query": "x"}'},
        {"step": 2},
        {"ts": 9.0},
    ],
)
def test_a_call_id_used_again_with_other_content_is_denied_and_changes_nothing(ready, other):
    ready.call(call_id="a")
    state = ready.state
    for _ in range(2):
        (decision,) = ready.call(call_id="a", **other)
        assert (decision["decision"], decision["reason"]) == ("denied", "conflicting_call")
        assert (decision["incident_id"], decision["function"]) == (None, other.get("tool", "retrieve_knowledge"))
        assert ready.state == state
    assert ready.call(call_id="a") == []


def test_the_same_call_id_in_another_turn_is_another_call(ready):
    ready.open("t2")
    ready.modulate("t2")
    assert ready.call(call_id="a")[0]["decision"] == "allowed"
    assert ready.call(call_id="a", audit_id="t2", arguments={"query": "b"})[0]["decision"] == "allowed"


def test_a_turn_opened_again_stays_as_it_is(ready):
    ready.call("delete_everything", {})
    ready.open(prompt="other")
    assert ready.call("open_url", {"url": "u"})[0]["reason"] == "not_in_allowlist"
    ready.close()
    ready.open()
    assert ready.call()[0]["reason"] == "turn_closed"


def test_a_close_without_an_opening_does_not_make_a_turn_known(gate):
    assert gate.close() == []
    assert gate.state is None
    assert gate.call()[0]["reason"] == "unknown_turn"


def test_one_turn_too_many_closes_the_oldest_and_answers_what_waits_for_it(make_gate):
    gate = make_gate(open_turns=2)
    gate.open("t1")
    gate.call(call_id="a")
    gate.open("t2")
    (decision,) = gate.open("t3")
    assert (decision["call_id"], decision["audit_id"], decision["reason"]) == ("a", "t1", "turn_closed")
    assert list(gate.state["turns"]) == ["t2", "t3"]


def test_a_turn_closed_long_ago_is_unknown(make_gate):
    gate = make_gate(closed_turns=2)
    for turn in ("t1", "t2", "t3"):
        gate.open(turn)
        gate.close(turn)
    assert gate.call(audit_id="t1")[0]["reason"] == "unknown_turn"
    assert gate.call(audit_id="t2")[0]["reason"] == "turn_closed"


def test_memory_is_bounded(make_gate):
    gate = make_gate(open_turns=3, closed_turns=3, early_modulations=3, calls_remembered=5, waiting_calls=2)
    for n in range(20):
        gate.modulate(f"early{n}")
        gate.open(f"t{n}")
        gate.call(audit_id=f"t{n}")
    sizes = {name: len(part) for name, part in gate.state.items() if name not in ("clock", "blind")}
    assert sizes == {
        "turns": 3,
        "early": 3,
        "closed": 3,
        "calls": 5,
        "pending": 0,
        "rates": 0,
        "circuits": 0,
        "met": 0,
    }


def test_turns_that_we_answer_have_a_bound_of_their_own(make_gate):
    gate = make_gate(open_turns=1, answered_turns=3)
    for n in range(3):
        gate.open(f"ours{n}", respond=True)
        gate.open(f"theirs{n}")
    assert list(gate.state["turns"]) == ["ours0", "ours1", "ours2", "theirs2"]
    gate.open("ours3", respond=True)
    assert list(gate.state["turns"]) == ["ours1", "ours2", "theirs2", "ours3"]


def test_the_gate_reads_nothing_of_feedback(gate):
    assert set(AGENT.sources) == {"interactions", "modulations", "commands", "tool-results", "tool-calls"}


def test_without_a_key_there_is_no_prompt_hash_and_with_one_it_is_the_hmac(make_gate):
    key = b"k" * 32
    gate = make_gate(prompt_hmac_key_id=fingerprint(key))
    gate.policy.prompt_key = key
    gate.open(prompt="What is a peptide?")
    gate.modulate()
    _, incident = gate.call("delete_everything", {})
    assert incident["prompt_hmac"] == hmac.new(key, b"What is a peptide?", hashlib.sha256).hexdigest()


FUNCTIONS = ["retrieve_knowledge", "open_url", "schedule_task", "web_search", "exec_code", "delete_everything"]
TOOLS = ["search", "code_exec", "browser", "retrieval", "scheduler"]
GOOD = {
    "retrieve_knowledge": {"query": "q"},
    "open_url": {"url": "u"},
    "schedule_task": {"when": "w", "note": "n"},
    "web_search": {"query": "q"},
    "exec_code": {"language": "bash", "source": "s"},
    "delete_everything": {},
}
TURNS = st.sampled_from(["t1", "t2", "t3"])
EVENTS = st.one_of(
    st.tuples(st.just("open"), TURNS),
    st.tuples(st.just("close"), TURNS),
    st.tuples(st.just("modulate"), TURNS, st.integers(0, 4), st.lists(st.sampled_from(TOOLS), unique=True)),
    st.tuples(st.just("call"), TURNS, st.sampled_from(FUNCTIONS), st.integers(1, 8)),
    st.tuples(st.just("call"), TURNS, st.sampled_from(FUNCTIONS), st.integers(1, 8)),
)


@given(st.lists(EVENTS, max_size=40))
@settings(max_examples=examples(100), deadline=None)
def test_no_sequence_gets_a_tool_past_the_list_in_force(make_gate, events):
    """A model of its own: the latest list of each turn, and the strict list alone from its first incident on."""
    gate = make_gate(flags={"SEARCH_TOOL": True, "CODE_EXEC_TOOL": True})
    latest: dict[str, tuple[int, list[str]]] = {}
    opened, closed, blocked = set(), set(), set()
    asked, answered = set(), []
    for n, (kind, turn, *rest) in enumerate(events):
        if kind == "open":
            opened.add(turn)
            out = gate.open(turn)
        elif kind == "close":
            out = gate.close(turn)
            closed |= {turn} & opened
        elif kind == "modulate":
            if rest[0] > latest.get(turn, (-1, []))[0]:
                latest[turn] = (rest[0], rest[1])
            out = gate.modulate(turn, revision=rest[0], allowlist=rest[1])
        else:
            asked.add(f"c{n}")
            out = gate.call(rest[0], GOOD[rest[0]], call_id=f"c{n}", audit_id=turn, step=rest[1])
        for value in out:
            if "kind" in value:
                blocked.add(value["audit_id"])
                continue
            answered.append(value["call_id"])
            assert (value["reason"] is None) == (value["decision"] == "allowed")
            assert (value["incident_id"] is not None) == (value["reason"] in INCIDENTS)
            if value["decision"] == "allowed":
                assert value["audit_id"] in opened - closed
                assert value["tool"] in latest[value["audit_id"]][1]
                assert value["tool"] == "retrieval" or value["audit_id"] not in blocked
    waiting = {q["call_id"] for turn in gate.state["turns"].values() for q in turn["waiting"]} if gate.state else set()
    assert len(answered) == len(set(answered))
    assert set(answered) | waiting == asked


@given(st.lists(EVENTS, max_size=30))
@settings(max_examples=examples(50), deadline=None)
def test_with_little_memory_every_call_is_still_answered_at_most_once_or_waits(make_gate, events):
    gate = make_gate(open_turns=1, closed_turns=1, early_modulations=1, calls_remembered=1)
    asked, answered = set(), []
    for n, (kind, turn, *rest) in enumerate(events):
        if kind == "call":
            asked.add(f"c{n}")
            out = gate.call(rest[0], GOOD[rest[0]], call_id=f"c{n}", audit_id=turn, step=rest[1])
        elif kind == "modulate":
            out = gate.modulate(turn, revision=rest[0], allowlist=rest[1])
        else:
            out = {"open": gate.open, "close": gate.close}[kind](turn)
        answered += [value["call_id"] for value in out if "decision" in value]
    waiting = {q["call_id"] for turn in gate.state["turns"].values() for q in turn["waiting"]} if gate.state else set()
    assert sorted([*answered, *waiting]) == sorted(asked)
