"""Rules over two calls, as the policy declares them."""

import pytest
from pydantic import ValidationError

from endocrine.agents.gating.rules import GatingRules

URL = {"url": "https://example.org"}
SECRET = {"type": "string", "pattern": "(?i)password"}


def rule(**change):
    return {"name": "secret-then-browser", "first": {"tool": "retrieval"}, "then": {"tool": "browser"}} | change


@pytest.fixture
def gate_with(make_gate):
    def make(*turns, **change):
        gate = make_gate(sequences=[rule(**{"decision": "denied", **change})])
        for turn in turns or ("t1",):
            gate.open(turn)
            gate.modulate(turn)
        return gate

    return make


def browse(gate, **more):
    return gate.call("open_url", URL, **more)


def test_the_second_call_alone_is_allowed(gate_with):
    assert browse(gate_with())[0]["decision"] == "allowed"


def test_after_the_first_call_the_second_is_no_longer_on_the_list_and_an_incident(gate_with):
    gate = gate_with()
    assert gate.call()[0]["decision"] == "allowed"
    decision, incident = browse(gate)
    assert decision["reason"] == incident["reason"] == "not_in_allowlist"
    assert incident["rule"] == "gating.sequences.secret-then-browser"
    assert incident["params_snapshot"]["allowlist"] == ["retrieval", "browser"]
    assert gate.call()[0]["decision"] == "allowed"


def test_a_rule_may_ask_for_a_person_instead(gate_with):
    gate = gate_with(decision="approval")
    gate.call()
    [pending] = browse(gate, call_id="b")
    assert (pending["decision"], pending["rule"]) == ("pending", "gating.sequences.secret-then-browser")
    assert gate.approve("b")[0]["decision"] == "allowed"


def test_the_order_is_part_of_the_rule(gate_with):
    gate = gate_with()
    browse(gate)
    assert gate.call()[0]["decision"] == "allowed"


def test_arguments_of_either_call_are_held_against_their_pattern(gate_with):
    mail = {"required": ["url"], "properties": {"url": {"pattern": "mail"}}}
    first = {"tool": "retrieval", "arguments": {"required": ["query"], "properties": {"query": SECRET}}}
    gate = gate_with(first=first, then={"tool": "browser", "arguments": mail})
    gate.call(arguments={"query": "peptides"})
    assert gate.call("open_url", {"url": "https://mail.example"})[0]["decision"] == "allowed"
    gate.call(arguments={"query": "the Password"})
    assert browse(gate)[0]["decision"] == "allowed"
    assert gate.call("open_url", {"url": "https://mail.example"})[0]["reason"] == "not_in_allowlist"


def test_a_first_call_that_was_denied_begins_nothing(gate_with):
    gate = gate_with()
    gate.call(arguments={"wrong": 1})
    gate.call(step=7)
    assert browse(gate)[0]["decision"] == "allowed"


def by_result(**change):
    return {"first": {"tool": "retrieval", "result": SECRET}, **change}


def test_a_result_that_matches_meets_the_rule_and_one_that_does_not_ends_the_doubt(gate_with):
    for output, decision in (("the password is x", "denied"), ("about peptides", "allowed"), (None, "allowed")):
        gate = gate_with(**by_result())
        gate.call(call_id="r")
        gate.result("retrieval", call_id="r", output=output)
        assert browse(gate, step=2)[0]["decision"] == decision


def test_a_result_not_known_yet_counts_for_later_steps_and_not_for_its_own(gate_with):
    gate = gate_with(**by_result())
    gate.call(call_id="r", step=1)
    assert browse(gate, step=1)[0]["decision"] == "allowed"
    assert browse(gate, step=2)[0]["reason"] == "not_in_allowlist"


@pytest.mark.parametrize(("output", "decision"), [("the password is x", "denied"), ("about peptides", "allowed")])
def test_a_strangers_result_ends_no_doubt_of_a_turn_that_we_answer(make_gate, output, decision):
    gate = make_gate(sequences=[rule(decision="denied", **by_result())])
    gate.open("t1", respond=True)
    gate.modulate("t1")
    gate.call(call_id="r")
    gate.result("retrieval", call_id="r", output="nothing to see")
    gate.result("retrieval", call_id="r", output=output, sealed=True)
    assert browse(gate, step=2)[0]["decision"] == decision


def test_a_strangers_result_alone_leaves_the_doubt(make_gate):
    gate = make_gate(sequences=[rule(decision="denied", **by_result())])
    gate.open("t1", respond=True)
    gate.modulate("t1")
    gate.call(call_id="r")
    gate.result("retrieval", call_id="r", output="nothing to see")
    assert browse(gate, step=2)[0]["reason"] == "not_in_allowlist"


def test_a_rule_without_a_window_ends_with_its_turn(gate_with):
    gate = gate_with("t1", "t2")
    gate.call()
    assert browse(gate, audit_id="t2")[0]["decision"] == "allowed"


def test_a_rule_with_a_window_reaches_over_turns_for_so_long(gate_with):
    gate = gate_with("t1", "t2", "t3", window_s=60.0)
    gate.call(ts=100.0)
    gate.close("t1")
    assert browse(gate, audit_id="t2", ts=160.0)[0]["reason"] == "not_in_allowlist"
    assert browse(gate, audit_id="t3", ts=160.1)[0]["decision"] == "allowed"


def test_a_turn_that_closes_before_its_result_counts_as_met(gate_with):
    gate = gate_with("t1", "t2", **by_result(window_s=60.0))
    gate.call(call_id="r")
    assert browse(gate, audit_id="t2", step=1)[0]["reason"] == "not_in_allowlist"
    gate.close("t1", ts=110.0)
    gate.open("t3")
    gate.modulate("t3")
    assert browse(gate, audit_id="t3", ts=120.0)[0]["reason"] == "not_in_allowlist"


def test_results_outstanding_are_bounded_and_beyond_the_bound_count_as_met(make_gate):
    gate = make_gate(sequences=[rule(decision="denied", **by_result())], waiting_calls=2)
    gate.open()
    gate.modulate()
    for n in range(5):
        gate.call(call_id=f"r{n}")
    assert len(gate.state["turns"]["t1"]["awaited"]) == 2
    for n in range(5):
        gate.result("retrieval", call_id=f"r{n}", output="nothing")
    assert browse(gate, step=2)[0]["reason"] == "not_in_allowlist"


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([rule(decision="denied"), rule(decision="approval")], "two sequences"),
        ([rule(decision="maybe")], "decision"),
        ([rule(decision="denied", window_s=0)], "window_s"),
        ([rule(decision="denied", name="No Spaces")], "name"),
        ([rule(decision="denied", then={"tool": "browser", "arguments": {"pattern": "("}})], "not a JSON Schema"),
        ([rule(decision="denied", then={"tool": "browser", "arguments": {"type": "strang"}})], "not a JSON Schema"),
        ([rule(decision="denied", then={"tool": "browser", "arguments": {"$ref": "#/x"}})], r"\$ref"),
    ],
)
def test_a_rule_with_a_mistake_is_refused(shipped, sequences, message):
    with pytest.raises(ValidationError, match=message):
        GatingRules.model_validate({**shipped("gating"), "sequences": sequences})
