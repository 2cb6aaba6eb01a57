"""Calls of functions that an application runs itself: decided by what it declared and what its modulation allows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.gating.applications import Applications
from endocrine.agents.gating.declared import schema_digest
from endocrine.schemas.interactions import Opened
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import ToolResult
from properties import examples

READ = {
    "name": "read_file",
    "description": "",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
DROP = {"name": "drop_table", "description": "", "parameters": {"type": "object"}}
OURS = {"name": "open_url", "description": "", "parameters": {"type": "object"}}
LOOSE = {**READ, "parameters": {"type": "object"}}
RULES = {"*": {"tools": ["read_*", "open_url"], "strict_tools": ["read_tiny"]}}


def with_rules(gate, rules=RULES):
    gate.policy.document.applications = Applications.model_validate(rules)
    return gate


def opens(gate, tools=(READ, DROP), audit_id="t1", ts=100.0, client="c"):
    value = Opened.model_validate(
        {"kind": "opened", "audit_id": audit_id, "identity": "ann", "session_id": "s", "turn": 0, "client": client,
         "prompt": "x", "ts": ts, "application_tools": [dict(tool) for tool in tools]}
    )  # fmt: skip
    return gate.feed("interactions", value)


def modulates(gate, allowed=(READ,), allowlist=(), audit_id="t1", revision=0, mode="balanced", own=()):
    parameters = {
        "temperature": 0.6, "top_p": 0.9, "max_output_tokens": 900, "reasoning_effort": 0.5, "retrieval_k": 6,
        "planner_beam": 2, "memory_write": 0.4, "safety_mode": mode, "tool_allowlist": list(allowlist),
    }  # fmt: skip
    value = Modulation.model_validate(
        {"audit_id": audit_id, "identity": "ann", "revision": revision, "admitted": True, "refusal": None,
         "review": "none", "mode": mode, "parameters": parameters, "prompt_style": mode, "signals": [], "lineage": {},
         "policy": "0" * 64, "ts": 100.0, "functions": [*own, *allowed],
         "application_tools": [one["name"] for one in allowed]}
    )  # fmt: skip
    return gate.feed("modulations", value)


@pytest.fixture
def ready(make_gate):
    gate = with_rules(make_gate())
    opens(gate)
    modulates(gate)
    return gate


def short(decision):
    return decision["decision"], decision["reason"], decision.get("runner"), decision["tool"]


def test_an_allowed_function_of_the_application_is_allowed_and_the_decision_says_who_runs_it(ready):
    (decision,) = ready.call("read_file", {"path": "a"})
    assert short(decision) == ("allowed", None, "application", None)
    assert decision["function"] == "read_file"


@pytest.mark.parametrize("arguments", [{}, {"path": 1}, "not json", '{"path": "a", "path": "b"}'])
def test_arguments_that_do_not_fit_the_declared_schema_are_denied(ready, arguments):
    (decision,) = ready.call("read_file", arguments)
    assert short(decision) == ("denied", "invalid_arguments", "application", None)


def test_a_declared_function_that_is_not_allowed_is_an_incident_and_cuts_the_turn_to_the_strict_ones(ready):
    decision, incident = ready.call("drop_table", {})
    assert short(decision) == ("denied", "not_in_allowlist", "application", None)
    assert incident["attempted"] == "drop_table"
    assert decision["revision"] == 1
    later, _ = ready.call("read_file", {"path": "a"})
    assert short(later)[:2] == ("denied", "not_in_allowlist")


def test_after_an_incident_strict_tools_remain(make_gate):
    gate = with_rules(make_gate(), {"*": {"tools": ["*"], "strict_tools": ["read_*"]}})
    opens(gate)
    modulates(gate, (READ, DROP))
    gate.call("unheard_of", {})
    assert gate.call("read_file", {"path": "a"})[0]["decision"] == "allowed"
    assert gate.call("drop_table", {})[0]["decision"] == "denied"


def test_a_function_that_nobody_declared_is_unknown(ready):
    assert short(ready.call("format_disk", {})[0])[:3] == ("denied", "unknown_tool", None)


def test_a_call_that_comes_before_its_modulation_is_judged_by_the_declared_schema(make_gate):
    gate = with_rules(make_gate())
    opens(gate)
    assert gate.call("read_file", {"path": "a"}) == gate.call("read_file", {"path": 1}) == []
    assert [decision["decision"] for decision in modulates(gate)] == ["allowed", "denied"]


def test_a_modulation_with_another_schema_than_the_opening_allows_nothing(make_gate):
    gate = with_rules(make_gate())
    opens(gate, (LOOSE, DROP))
    modulates(gate, (READ,))
    assert gate.call("read_file", {"anything": 1})[0]["decision"] == "denied"


def test_a_function_with_the_name_of_one_of_ours_is_the_applications_only_where_its_modulation_lists_it(make_gate):
    theirs, ours = with_rules(make_gate()), with_rules(make_gate())
    for gate in (theirs, ours):
        opens(gate, (OURS,))
    modulates(theirs, (OURS,))
    modulates(ours, (), ["browser"])
    arguments = {"url": "https://a.example"}
    assert short(theirs.call("open_url", arguments)[0]) == ("allowed", None, "application", None)
    assert short(ours.call("open_url", arguments)[0]) == ("allowed", None, None, "browser")


def test_results_of_an_application_teach_no_breaker_of_ours(make_gate):
    gate = with_rules(make_gate())
    gate.open()
    gate.modulate()
    before = gate.state["circuits"]
    value = {"call_id": "x", "audit_id": "t1", "tool": "browser", "status": "error", "duration_ms": 0.0}
    for _ in range(9):
        gate.feed(
            "tool-results",
            ToolResult.model_validate(
                {**value, "identity": "ann", "args_summary": "", "runner": "application", "ts": 101.0}
            ),
            sealed=True,
        )
    assert gate.state["circuits"] == before


def test_what_turns_declare_is_held_once_and_only_while_they_are_open(make_gate):
    gate = with_rules(make_gate())
    for number in range(5):
        opens(gate, audit_id=f"t{number}", ts=100.0 + number)
    assert list(gate.state["declared"]) == [
        schema_digest({"read_file": READ["parameters"], "drop_table": DROP["parameters"]})
    ]
    for number in range(5):
        assert "declared" in gate.state
        gate.close(f"t{number}")
    assert "declared" not in gate.state


def test_what_does_not_fit_into_memory_is_not_allowed(make_gate):
    gate = with_rules(make_gate(declared_chars=1024))
    for number in range(20):
        tool = {**READ, "name": f"read_{number:03}"}
        opens(gate, (tool,), f"t{number}", 100.0 + number)
        modulates(gate, (tool,), audit_id=f"t{number}")
    assert gate.call("read_000", {"path": "a"}, audit_id="t0", ts=150.0)[0]["decision"] == "allowed"
    assert gate.call("read_019", {"path": "a"}, audit_id="t19", ts=150.0)[0]["decision"] == "denied"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("open"), st.sampled_from(["t1", "t2"]), st.sampled_from([(READ, DROP), (LOOSE, DROP), (DROP,)])
        ),
        st.tuples(st.just("modulate"), st.sampled_from(["t1", "t2"]), st.sampled_from([(READ,), (LOOSE,), ()])),
        st.tuples(
            st.just("call"), st.sampled_from(["t1", "t2"]), st.sampled_from(["read_file", "drop_table", "open_url"])
        ),
        st.tuples(st.just("close"), st.sampled_from(["t1", "t2"]), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=examples(100), deadline=None)
@given(steps=STEPS, arguments=st.sampled_from([{"path": "a"}, {"path": 1}, {}, "x"]))
def test_a_call_is_allowed_only_as_sealed_modulation_and_first_opening_both_have_it(make_gate, steps, arguments):
    gate = with_rules(make_gate())
    revisions, opened, listed = {"t1": 0, "t2": 0}, {}, {}
    for ts, (kind, turn, what) in enumerate(steps, 100):
        if kind == "open":
            said = opens(gate, what, turn, float(ts))
            opened.setdefault(turn, what)
        elif kind == "modulate":
            said = modulates(gate, what, audit_id=turn, revision=revisions[turn])
            revisions[turn] += 1
            listed.setdefault(turn, []).append(what)
        elif kind == "close":
            said = gate.close(turn, ts=float(ts))
        else:
            said = gate.call(what, arguments, f"c{ts}", turn, ts=float(ts))
        for decision in said:
            if decision.get("decision") != "allowed":
                continue
            assert decision["function"] == "read_file", "drop_table and open_url are forbidden here"
            declared = next(tool for tool in opened[decision["audit_id"]] if tool["name"] == "read_file")
            assert any(declared in one for one in listed[decision["audit_id"]])
            assert decision["runner"] == "application"


def test_calls_of_an_application_count_in_no_rate_of_a_tool_of_ours_that_has_the_same_name(make_gate):
    gate = with_rules(make_gate(rate_limits={"calls": 1, "window_s": 60, "tools": {}}))
    opens(gate, (OURS,))
    modulates(gate, (OURS,))
    decisions = [gate.call("open_url", {"url": "https://a.example"}, f"c{n}")[0]["decision"] for n in range(3)]
    assert decisions == ["allowed"] * 3
    assert gate.state["rates"] == {}
