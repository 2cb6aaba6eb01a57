"""One decision, exactly one reason, tried in the order of the rules."""

from itertools import combinations
from typing import get_args

import pytest

from endocrine.agents.gating.decision import Case, why_denied
from endocrine.agents.gating.messages import message_of
from endocrine.schemas.vocabulary import Reason

FINE = Case(
    turn="open",
    tool="browser",
    flag_on=True,
    allowlist=("retrieval", "browser"),
    valid=True,
    step=6,
    step_limit=6,
    refusal=None,
)
# In the order of the rules; each with what makes it hold.
FAULTS = [
    ("conflicting_call", {"conflicting": True}),
    ("stale_call", {"stale": True}),
    ("unknown_turn", {"turn": "unknown"}),
    ("turn_closed", {"turn": "closed"}),
    ("unknown_tool", {"tool": None}),
    ("disabled_by_flag", {"flag_on": False}),
    ("not_in_allowlist", {"allowlist": ("retrieval",)}),
    ("invalid_arguments", {"valid": False}),
    ("step_limit", {"step": 7}),
    ("rate_limited", {"refusal": "rate_limited"}),
    ("rate_limited", {"over_rate": True}),
    ("circuit_open", {"circuit_open": True}),
    ("budget_exceeded", {"refusal": "budget_exceeded"}),
    ("approval_denied", {"refusal": "denied"}),
    ("approval_expired", {"refusal": "hold_expired"}),
]
PAIRS = [(a, b) for a, b in combinations(FAULTS, 2) if not set(a[1]) & set(b[1])]


def test_a_call_without_fault_is_allowed():
    assert why_denied(FINE) is None


@pytest.mark.parametrize(("reason", "fault"), FAULTS, ids=[f"{reason}-{min(fault)}" for reason, fault in FAULTS])
def test_each_fault_alone_is_its_reason(reason, fault):
    assert why_denied(FINE._replace(**fault)) == reason


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a[0]} before {b[0]}" for a, b in PAIRS])
def test_of_two_faults_the_earlier_reason_wins(first, second):
    assert why_denied(FINE._replace(**{**first[1], **second[1]})) == first[0]


def test_all_faults_at_once_are_the_first_reason():
    every = {}
    for _, fault in reversed(FAULTS):
        every |= fault
    assert why_denied(FINE._replace(**every)) == "conflicting_call"
    assert why_denied(FINE._replace(**{**every, "conflicting": False})) == "stale_call"


def test_every_reason_has_a_message_and_is_tried_or_ends_a_waiting():
    assert {reason for reason, _ in FAULTS} | {"awaiting_approval"} == set(get_args(Reason))
    assert all(message_of(reason) for reason in get_args(Reason))
    assert message_of(None) is None


# The same order, from records: (reason, turn is, tool, arguments, step, refusal).
RECORDS = [
    ("unknown_turn", "never opened", "no_such_tool", "not json", 7, None),
    ("turn_closed", "closed", "no_such_tool", "not json", 7, None),
    ("unknown_tool", "open", "no_such_tool", "not json", 7, "rate_limited"),
    ("disabled_by_flag", "open", "web_search", "not json", 7, "rate_limited"),
    ("not_in_allowlist", "open", "schedule_task", "not json", 7, "rate_limited"),
    ("invalid_arguments", "open", "open_url", "not json", 7, "rate_limited"),
    ("step_limit", "open", "open_url", {"url": "https://example.org"}, 7, "rate_limited"),
    ("rate_limited", "open", "open_url", {"url": "https://example.org"}, 6, "rate_limited"),
    ("budget_exceeded", "open", "open_url", {"url": "https://example.org"}, 6, "budget_exceeded"),
    ("approval_denied", "open", "open_url", {"url": "https://example.org"}, 6, "denied"),
    ("approval_expired", "open", "open_url", {"url": "https://example.org"}, 6, "hold_expired"),
    ("step_limit", "open", "open_url", {"url": "https://example.org"}, 7, "denied"),
    (None, "open", "open_url", {"url": "https://example.org"}, 6, None),
]


@pytest.mark.parametrize(("reason", "turn", "tool", "arguments", "step", "refusal"), RECORDS)
def test_records_meet_the_reasons_in_the_same_order(gate, reason, turn, tool, arguments, step, refusal):
    if turn != "never opened":
        gate.open()
        gate.modulate(refusal=refusal)
    if turn == "closed":
        gate.close()
    decision, *incidents = gate.call(tool, arguments, step=step)
    assert decision["reason"] == reason
    assert decision["decision"] == ("denied" if reason else "allowed")
    assert bool(incidents) == (reason in ("unknown_tool", "disabled_by_flag", "not_in_allowlist"))


def test_a_decision_names_the_canonical_tool_whatever_its_reason(ready):
    assert ready.call("open_url", {"url": "u"}, audit_id="other")[0]["tool"] == "browser"
    assert ready.call("web_search")[0]["tool"] == "search"
    assert ready.call("retrieval")[0]["tool"] is None


@pytest.mark.parametrize(
    ("function", "flag"), [("open_url", "BROWSER_TOOL"), ("web_search", "SEARCH_TOOL"), ("exec_code", "CODE_EXEC_TOOL")]
)
def test_each_flag_gates_its_tool(make_gate, function, flag):
    for on, reason in ((False, "disabled_by_flag"), (True, "invalid_arguments")):
        gate = make_gate(flags={flag: on})
        gate.open()
        gate.modulate(allowlist=["search", "code_exec", "browser", "retrieval"])
        decision, *incidents = gate.call(function, {"nonsense": 1})
        assert decision["reason"] == reason
        assert [incident["reason"] for incident in incidents] == ([] if on else [reason])


def test_a_switched_off_tool_tightens_the_turn(ready):
    assert ready.call("open_url", {"url": "u"})[0]["decision"] == "allowed"
    decision, incident = ready.call("exec_code", {"language": "bash", "source": "id"})
    assert (decision["reason"], decision["incident_id"]) == ("disabled_by_flag", incident["incident_id"])
    assert (decision["revision"], incident["attempted"]) == (1, "exec_code")
    assert ready.call("open_url", {"url": "u"})[0]["reason"] == "not_in_allowlist"


@pytest.mark.parametrize(
    ("name", "function"), [("retrieval", "retrieve_knowledge"), ("browser", "open_url"), ("code_exec", "exec_code")]
)
def test_a_canonical_name_is_unknown_and_told_the_function_and_no_incident(ready, name, function):
    (decision,) = ready.call(name, {"query": "x"})
    assert (decision["reason"], decision["tool"], decision["incident_id"]) == ("unknown_tool", None, None)
    assert function in decision["message"]
    assert ready.call("open_url", {"url": "u"})[0]["decision"] == "allowed"


def test_a_message_holds_nothing_that_the_call_says(ready):
    for tool, arguments in (("secret_tool", {"q": "secret"}), ("open_url", {"secret": "secret"}), ("secret", "secret")):
        for value in ready.call(tool, arguments):
            assert "secret" not in value.get("message", "")


LOOKALIKES = [
    "Retrieve_Knowledge",
    "retrieve_knowledge ",
    " retrieve_knowledge",
    "retrieve_knowledge\u200b",
    "retrieve_knowlеdge",  # Cyrillic ie
    "ｒetrieve_knowledge",  # full-width r
    "retrieve-knowledge",
    "functions.retrieve_knowledge",
    "",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_function_name_is_matched_to_the_character(ready, name):
    decision, incident = ready.call(name)
    assert (decision["reason"], decision["tool"]) == ("unknown_tool", None)
    assert incident["attempted"] == name
