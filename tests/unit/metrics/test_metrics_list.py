"""Metrics: one closed list, closed labels, each counted where it happens."""

import re
from types import SimpleNamespace

import orjson
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.batch import Tally
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.catalogue import GATEWAY_METRICS, METRICS, VERIFIED, WORDS
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.pipeline.views.metrics.serve import serve
from endocrine.pipeline.views.metrics.textfile import write_verified

TOOLS = ("retrieval", "browser")


@pytest.fixture
def metrics():
    return Metrics([agent.name for agent in AGENTS], TOOLS)


def exported(metrics):
    """{(sample name, labels): value} of what a scraper reads."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def derived(topic, **value):
    return OutputRecord(topic, 0, b"ann", orjson.dumps(value), (), True)


def decision(tool, decided, reason):
    return derived("tool-decisions", identity="ann", tool=tool, decision=decided, reason=reason)


def test_names_are_unique_and_follow_the_conventions_of_prometheus():
    names = [metric.name for metric in (*METRICS, *GATEWAY_METRICS)]
    assert len(set(names)) == len(names)
    for metric in (*METRICS, *GATEWAY_METRICS):
        assert re.fullmatch(r"endocrine_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.help.endswith(".")


def test_no_label_can_hold_an_identity_or_a_text():
    open_words = {"agent", "topic", "tool"}
    assert {label for metric in METRICS for label in metric.labels} == set(WORDS) | open_words


def test_only_the_closed_list_is_exported(metrics):
    for metric in METRICS:
        if metric.name == VERIFIED:
            continue
        metrics.add(metric.name, 1, **dict.fromkeys(metric.labels, "x"))
    names = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name, _ in exported(metrics)}
    assert names <= {metric.name for metric in METRICS} | {metric.name.removesuffix("_total") for metric in METRICS}


def test_a_name_that_is_not_on_the_list_is_refused(metrics):
    with pytest.raises(KeyError):
        metrics.add("endocrine_prompts_total")


def test_a_value_outside_its_vocabulary_is_other_and_null_is_none(metrics):
    metrics.add("endocrine_tool_decisions_total", tool="rm -rf ann@example.org", decision="allowed", reason=None)
    metrics.add("endocrine_tool_decisions_total", tool=None, decision="denied", reason="unknown_tool")
    found = {labels for name, labels in exported(metrics) if name == "endocrine_tool_decisions_total"}
    assert found == {
        (("decision", "allowed"), ("reason", "none"), ("tool", "other")),
        (("decision", "denied"), ("reason", "unknown_tool"), ("tool", "other")),
    }


def test_a_batch_is_counted_by_what_it_came_to(metrics):
    tally = Tally(read=7, prepared=4, copies=1, dead=1, rekeyed=1, rejected=1)
    outbox = [
        decision("browser", "allowed", None),
        decision("browser", "denied", "circuit_open"),
        derived("incidents", kind="tool_blocked"),
        derived("modulations", revision=0, mode="strict", refusal=None, signals=[{"name": "stress", "fate": "used"}]),
        derived("modulations", revision=1, mode="strict", refusal=None, signals=[{"name": "stress", "fate": "used"}]),
        OutputRecord("tool-calls.dlq", 0, b"ann", b"{", (), False),
    ]
    metrics.batch("gating", PreparedBatch(7, [], Checkpoint(outbox=outbox), [], {}, tally))
    found = exported(metrics)
    gating = (("agent", "gating"),)
    assert found["endocrine_records_read_total", gating] == 7
    assert found["endocrine_records_refused_total", gating] == 2
    assert found["endocrine_batch_records_count", gating] == 1
    assert found["endocrine_records_spoken_total", (("topic", "tool-decisions"),)] == 2
    assert found["endocrine_records_spoken_total", (("topic", "tool-calls.dlq"),)] == 1
    assert found["endocrine_incidents_total", (("kind", "tool_blocked"),)] == 1
    assert found["endocrine_turns_total", (("mode", "strict"), ("refusal", "none"))] == 1
    assert found["endocrine_revisions_total", (("mode", "strict"),)] == 1
    assert found["endocrine_signals_total", (("fate", "used"), ("signal", "stress"))] == 1
    denied = (("decision", "denied"), ("reason", "circuit_open"), ("tool", "browser"))
    assert found["endocrine_tool_decisions_total", denied] == 1


def test_answers_of_connectors_are_counted_in_seconds_and_tokens(metrics):
    metrics.answer("tool-results", {"tool": "browser", "status": "timeout", "duration_ms": 1500.0})
    usage = {"input_tokens": 10, "output_tokens": 5}
    metrics.answer("model-replies", {"status": "ok", "latency_ms": 2000.0, "usage": usage})
    metrics.answer("model-replies", {"status": "error", "latency_ms": 10.0, "usage": None})
    metrics.answer("scheduled-tasks", {})
    found = exported(metrics)
    assert found["endocrine_tool_results_total", (("status", "timeout"), ("tool", "browser"))] == 1
    assert found["endocrine_tool_duration_seconds_sum", (("tool", "browser"),)] == 1.5
    assert found["endocrine_model_latency_seconds_sum", (("reply", "ok"),)] == 2.0
    assert found["endocrine_model_tokens_total", (("direction", "output"),)] == 5


def test_units_are_those_owned_now(metrics):
    metrics.processors(["gating", "gating", "bonds"])
    metrics.processors(["gating"])
    found = exported(metrics)
    assert found["endocrine_units", (("agent", "gating"),)] == 1
    assert found["endocrine_units", (("agent", "bonds"),)] == 0


def test_the_first_event_of_its_kind_is_an_increase_that_an_alert_sees(metrics):
    """A counter that begins with its first event has no increase in it, for Prometheus."""
    before = exported(metrics)
    metrics.add("endocrine_incidents_total", kind="drift_lock")
    metrics.add("endocrine_dead_letters_total", cause="unsealed")
    metrics.batch("gating", PreparedBatch(7, [], Checkpoint(), [], {}, Tally(read=1, unsealed=1, failed=1)))
    changed = {place for place, value in exported(metrics).items() if value != before.get(place)}
    counted = {place for place in changed if place[0].endswith("_total")}
    assert len(counted) == 6
    assert {before[place] for place in counted} == {0}


def test_a_gauge_that_a_process_does_not_set_is_not_shown_by_it(metrics):
    """A connector has no idle share and follows no rollout: a 0 of it would be the least of all processes'."""
    names = {metric.name for metric in METRICS if metric.kind == "gauge"}
    assert not {name for name, _ in exported(metrics)} & names
    metrics.add("endocrine_idle_ratio", 0.5)
    metrics.add("endocrine_idle_ratio", 0.25)
    assert {place: value for place, value in exported(metrics).items() if place[0] in names} == {
        ("endocrine_idle_ratio", ()): 0.25
    }


def test_without_a_port_nothing_is_counted_or_served():
    assert serve(Settings(metrics_port=None), [], SimpleNamespace()) is None


def test_a_dead_letter_is_counted_by_the_kind_of_its_error_and_an_unknown_kind_as_other(metrics):
    letters = [
        OutputRecord("signals.dlq", 0, b"ann", b"{", (("endocrine-error-kind", kind),), False)
        for kind in (b"not_json", b"ann's own text")
    ]
    rerouted = OutputRecord("signals", 0, b"ann", b"{", (), False)
    metrics.batch("modulation", PreparedBatch(3, [*letters, rerouted], Checkpoint(), [], {}, Tally(read=3)))
    found = exported(metrics)
    assert found["endocrine_dead_letters_total", (("cause", "not_json"),)] == 1
    assert found["endocrine_dead_letters_total", (("cause", "other"),)] == 1


def test_a_turn_is_counted_as_tightened_once_though_later_revisions_carry_the_step(metrics):
    revision = {"revision": 1, "mode": "strict", "refusal": None, "audit_id": "t1"}
    first = {"safety_mode": [{"step": "carry"}, {"step": "tighten"}], "top_p": [{"step": "carry"}]}
    later = {"safety_mode": [{"step": "default"}, {"step": "tighten"}, {"step": "carry"}]}
    outbox = [derived("modulations", **revision, lineage=lineage) for lineage in (first, later)]
    metrics.batch("modulation", PreparedBatch(1, [], Checkpoint(outbox=outbox), [], {}, Tally(read=1)))
    assert exported(metrics)["endocrine_auto_tightened_total", ()] == 1


def test_a_held_turn_waits_until_a_revision_answers_it(metrics):
    def revised(turn, refusal, number):
        return {"revision": number, "mode": "strict", "refusal": refusal, "audit_id": turn, "signals": []}

    for step in (
        revised("t1", "held", 0),
        revised("t2", "held", 0),
        revised("t1", "held", 1),
        revised("t1", None, 2),
        revised("t1", None, 3),
        revised("t2", "hold_expired", 1),
        revised("t3", "held", 0),
    ):
        outbox = [derived("modulations", **step)]
        metrics.batch("modulation", PreparedBatch(1, [], Checkpoint(outbox=outbox), [], {}, Tally(read=1)))
    found = exported(metrics)
    assert found["endocrine_turns_held", ()] == 1
    assert found["endocrine_holds_ended_total", (("outcome", "admitted"),)] == 1
    assert found["endocrine_holds_ended_total", (("outcome", "hold_expired"),)] == 1


def test_the_seconds_of_a_turn_are_those_of_its_bundle_and_not_of_what_came_after(metrics):
    latency = {"total": 1500.0, "steps": []}
    outbox = [
        derived("audits", supplement=0, latency_ms=latency),
        derived("audits", supplement=1, latency_ms=latency),
        derived("audits", supplement=0, latency_ms=None),
    ]
    metrics.batch("audit", PreparedBatch(1, [], Checkpoint(outbox=outbox), [], {}, Tally(read=1)))
    found = exported(metrics)
    assert (found["endocrine_turn_seconds_sum", ()], found["endocrine_turn_seconds_count", ()]) == (1.5, 1)


def test_a_circuit_is_open_from_a_call_denied_for_it_to_a_call_that_is_allowed(metrics):
    def decided(word, reason):
        outbox = [decision("browser", word, reason)]
        metrics.batch("gating", PreparedBatch(1, [], Checkpoint(outbox=outbox), [], {}, Tally(read=1)))
        return exported(metrics).get(("endocrine_tool_circuit_open", (("tool", "browser"),)))

    assert decided("denied", "circuit_open") == 1
    assert decided("denied", "not_in_allowlist") == 1
    assert decided("allowed", None) == 0


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        ("http_429", "http_429"),
        ("http_404", "http_4xx"),
        ("http_503", "http_5xx"),
        ("timeout", "timeout"),
        ("x", "other"),
    ],
)
def test_a_failed_call_of_a_model_is_counted_with_429_apart_from_other_statuses(metrics, failure, shown):
    effect = ModelEffect(ModelSettings(api_key="k"), shipped_policy().document.models, metrics=metrics)
    effect._count(failure)
    assert exported(metrics)["endocrine_model_failed_tries_total", (("error", shown),)] == 1
    assert exported(metrics)["endocrine_model_breaker_open", ()] == 0


def test_a_verified_chain_is_written_with_its_time_for_the_textfile_collector(tmp_path):
    write_verified(tmp_path / "endocrine.prom", 1000.0)
    assert "\nendocrine_chain_verified_timestamp_seconds 1000.0\n" in (tmp_path / "endocrine.prom").read_text()
