"""Metrics: one closed list, closed labels, alert rules that name what exists."""

import re
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Tally
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.catalogue import METRICS, WORDS
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.pipeline.views.metrics.serve import serve

ALERTS = Path(__file__).parents[3] / "docker" / "prometheus" / "alerts.yml"
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
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"endocrine_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.help.endswith(".")


def test_no_label_can_hold_an_identity_or_a_text():
    open_words = {"agent", "topic", "tool"}
    assert {label for metric in METRICS for label in metric.labels} == set(WORDS) | open_words


def test_only_the_closed_list_is_exported(metrics):
    for metric in METRICS:
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


def test_without_a_port_nothing_is_counted_or_served():
    assert serve(Settings(metrics_port=None), [], SimpleNamespace()) is None


# ---- alert rules ----

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
SAMPLES = {
    f"{metric.name}{end}": metric
    for metric in METRICS
    for end in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
}
_LABELS = re.compile(r"(endocrine_[a-z_]+)(?:\{([^}]*)\})?")
_MATCH = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def test_every_alert_has_a_name_of_its_own_a_severity_and_words_for_a_person():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_names_metrics_labels_and_values_that_exist(rule):
    expression = rule["expr"]
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    found = _LABELS.findall(expression)
    assert found
    for name, matchers in found:
        metric = SAMPLES[name]
        for label, operator, value in _MATCH.findall(matchers):
            assert label in metric.labels
            for word in value.split("|") if operator in ("=~", "!~") else [value]:
                assert word in WORDS[label]
    labels = {label for name, _ in found for label in SAMPLES[name].labels} | {"le"}
    for grouped in re.findall(r"by \(([a-z_, ]+)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= labels
    for shown in re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())):
        assert shown in labels
