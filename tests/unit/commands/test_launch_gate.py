"""What closes the gate, and what does not."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data.launch_gate import Budget, Evidence
from endocrine.pipeline.process.policy_files import shipped_policy

NOW = 2_000_000_000.0


def lines(risk: float | None = 0.8) -> list[dict[str, Any]]:
    """A turn in which a tool is asked for that nobody may run, and which is closed."""
    signals = [] if risk is None else [{"name": "alignment_risk", "level": risk}]
    opened = {"kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "shell",
              "prompt": "Delete?", "ts": 1.0, "signals": signals}  # fmt: skip
    call = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "step": 1, "tool": "exec_code", "arguments": {},
            "ts": 2.0}  # fmt: skip
    closed = {"kind": "closed", "audit_id": "t1", "identity": "ann", "response": "No.", "ts": 3.0}
    return [{"topic": "interactions", "value": opened}, {"topic": "tool-calls", "value": call},
            {"topic": "interactions", "value": closed}]  # fmt: skip


def seen(*more: tuple[str, dict[str, Any]]) -> Evidence:
    """What is recorded of that turn, and more."""
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=1)
    evidence = Evidence()
    for line in lines():
        add(evidence, line["topic"], line["value"])
        for derived in simulation.feed(orjson.dumps(line)):
            record = orjson.loads(derived.line())
            add(evidence, record["topic"], record["value"])
    for topic, value in more:
        add(evidence, topic, value)
    return evidence


def add(evidence: Evidence, topic: str, value: Any, at: float = 1000.0) -> None:
    known = hasattr(evidence, "_" + topic.replace("-", "_"))
    if known:
        evidence.add(topic, SimpleNamespace(value=orjson.dumps(value), timestamp=at))


def statuses(evidence: Evidence, budget: Budget = Budget()) -> dict[str, str]:  # noqa: B008 - frozen
    checks = [evidence.errors(), evidence.tightening({}), evidence.audits(NOW, [], 1, []), evidence.within(budget)]
    return {check.name: check.status for check in checks}


def test_a_sound_turn_with_a_denied_call_opens_the_gate() -> None:
    evidence = seen()
    assert evidence.turns == 1
    assert sum(evidence.incidents.values()) == 1
    assert set(statuses(evidence).values()) == {"passed"}


@pytest.mark.parametrize("kind", ["agent_error", "unsealed", "too_large_result"])
def test_a_fault_of_ours_among_the_dead_letters_closes_it_and_bad_input_does_not(kind: str) -> None:
    evidence = seen()
    evidence.letter("not_json")
    assert evidence.errors().status == "passed"
    evidence.letter(kind)
    assert evidence.errors().status == "failed"
    assert f"1 dead letters of the kind {kind}" in evidence.errors().sentences


def test_an_incident_closes_it_only_where_its_kind_is_named_critical() -> None:
    evidence = seen()
    assert evidence.errors(["drift_lock"]).status == "passed"
    assert evidence.errors(["tool_blocked"]).status == "failed"


def test_a_tool_that_ran_though_its_call_was_denied_closes_it() -> None:
    result = {"audit_id": "t1", "call_id": "c1", "status": "ok"}
    assert "t1/c1" in str(seen(("tool-results", result)).errors().sentences)
    assert seen(("tool-results", result | {"status": "error"})).errors().status == "passed"
    assert seen(("tool-results", result | {"audit_id": "before"})).errors().status == "passed"


def test_a_call_allowed_of_a_tool_on_no_allowlist_of_its_turn_closes_it() -> None:
    decision = {"audit_id": "t1", "call_id": "c2", "decision": "allowed", "tool": "email"}
    assert seen(("tool-decisions", decision)).errors().status == "failed"


def looser(evidence: Evidence, **changes: Any) -> dict[str, Any]:
    last = max(evidence._revisions["t1"])
    before = evidence._revisions["t1"][last]
    parameters = {**before["parameters"], "temperature": before["parameters"]["temperature"] + 0.2}
    return {**before, "audit_id": "t1", "revision": last + 1, "parameters": parameters, **changes}


def test_a_revision_that_loosens_by_itself_closes_it_and_one_that_a_person_allowed_does_not() -> None:
    evidence = seen()
    add(evidence, "modulations", looser(evidence))
    assert "t1 revision" in str(evidence.tightening({}).sentences)
    cleared = {"signals": [{"name": "alignment_risk", "level": 0.8, "fate": "cleared"}]}
    approved = {"lineage": {"temperature": [{"step": "approve", "by": "op", "from": 0.1, "to": 0.3}]}}
    for allowed in (cleared, approved):
        evidence = seen()
        add(evidence, "modulations", looser(evidence, **allowed))
        assert evidence.tightening({}).status == "passed"


def test_a_policy_that_this_code_refuses_closes_it() -> None:
    assert seen().tightening({"a" * 64: "loosens"}).status == "failed"


def test_a_closed_turn_without_a_bundle_closes_it_once_it_is_due() -> None:
    evidence = seen()
    evidence.audited.clear()
    assert evidence.audits(NOW, [], 0, []).status == "failed"
    assert evidence.audits(2.0, [], 0, []).status == "passed"
    assert seen().audits(NOW, ["t1"], 1, []).status == "failed"
    assert seen().audits(NOW, [], 1, ["a break"]).status == "failed"


def test_what_is_above_its_budget_closes_it_and_what_has_none_is_named() -> None:
    reply = {"audit_id": "t1", "latency_ms": 900.0, "usage": {"input_tokens": 500, "output_tokens": 50}}
    evidence = seen(("model-replies", reply))
    assert "Not judged" in str(evidence.within(Budget()).sentences)
    assert statuses(evidence, Budget(model_p95_ms=900, tokens_per_turn=550))["budget"] == "passed"
    assert statuses(evidence, Budget(model_p95_ms=899))["budget"] == "failed"
    assert statuses(evidence, Budget(tokens_per_turn=549))["budget"] == "failed"


def test_what_a_stranger_writes_opens_and_closes_nothing() -> None:
    evidence = Evidence(lambda topic, raw: False)
    for topic in ("modulations", "tool-decisions", "incidents", "audits"):
        add(evidence, topic, {"anything": 1})
    assert evidence.turns == 0
    add(evidence, "interactions", [1, 2])
    add(evidence, "interactions", {"kind": "opened"})
    assert evidence._opened == {}


def receipt(erasure_id: str, outcome: str) -> dict[str, Any]:
    return {"identity": "$ops", "kind": "erasure", "outcome": outcome, "report": {"erasure_id": erasure_id}, "by": "op"}


def test_erasure_is_judged_by_the_receipts_and_only_where_there_are_any() -> None:
    assert Evidence().erasure().status == "not available"
    drill = {"identity": "$ops", "kind": "drill", "outcome": "done", "report": {}, "by": "op"}
    assert seen(("ops-events", drill)).erasure().status == "not available"
    assert seen(("ops-events", receipt("e1", "done"))).erasure().status == "passed"
    broken = seen(("ops-events", receipt("e1", "done")), ("ops-events", receipt("e2", "incomplete"))).erasure()
    assert broken.status == "failed"
    assert "e2" in broken.sentences[0]
    again = [("ops-events", receipt("e2", outcome)) for outcome in ("incomplete", "done")]
    assert seen(*again).erasure().status == "passed"


def test_receipts_of_operators_need_no_seal() -> None:
    evidence = Evidence(lambda topic, raw: False)
    add(evidence, "ops-events", receipt("e1", "done"))
    assert evidence.erasure().status == "passed"
