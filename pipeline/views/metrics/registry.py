"""Counting: the closed list as Prometheus objects, and what records add to it."""

from collections import Counter as Tallies
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.records import ERROR_KIND
from endocrine.pipeline.views.metrics.catalogue import METRICS, NONE, OTHER, VERIFIED, WORDS, Metric
from endocrine.pipeline.views.metrics.health import Health

DEAD_LETTERS = ".dlq"
HELD = 10_000
"""Held turns that a process notes, at most."""
_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


def made(metric: Metric, registry: CollectorRegistry | None) -> Any:
    """Return the metric as an object of Prometheus' client. registry: where it is registered, if anywhere."""
    more = {"buckets": metric.buckets} if metric.kind == "histogram" else {}
    return _KINDS[metric.kind](metric.name, metric.help, metric.labels, registry=registry, **more)


def _alone(metric: Metric) -> bool:
    return metric.kind == "gauge" and not metric.labels


class Metrics:
    """The metrics of one process.

    agents, tools: the closed vocabularies of these labels. A name that is not in the catalogue is a KeyError.
    """

    def __init__(self, agents: Iterable[str], tools: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        topics = [name for topic in CATALOGUE.values() for name in (topic.name, topic.dead_letters)]
        labels: dict[str, Iterable[str]] = {**WORDS, "agent": agents, "topic": topics, "tool": tools}
        self._labels = {label: frozenset(values) for label, values in labels.items()}
        self._known: dict[str, tuple[Metric, Any]] = {
            metric.name: (metric, made(metric, None if _alone(metric) else self.registry))
            for metric in METRICS
            if metric.name != VERIFIED
        }
        self._unset = {metric.name for metric in METRICS if _alone(metric)}
        """Gauges that are not registered yet: a client shows 0 for them, and this process may never set them."""
        self._begin_at_zero()
        self.roles: dict[str, Callable[[], Health]] = {}
        """Health of what runs in this process, by role. Asked from another thread."""
        self._held: OrderedDict[str, None] = OrderedDict()
        """Audit ids of turns that wait for a person. They are counted, and shown nowhere."""
        self._stop: Callable[[], None] | None = None

    def add(self, name: str, amount: float = 1, **labels: str | None) -> None:
        """Count `amount`, observe it, or set a gauge to it. A label's value outside its vocabulary is `other`."""
        metric, held = self._known[name]
        shown = {label: self._shown(label, labels[label]) for label in metric.labels}
        child = held.labels(**shown) if shown else held
        if metric.kind == "counter":
            child.inc(amount)
        elif metric.kind == "histogram":
            child.observe(amount)
        else:
            child.set(amount)
            if name in self._unset:
                self._unset.remove(name)
                self.registry.register(held)

    def _begin_at_zero(self) -> None:
        """Show each series of a counter from the beginning: the increase of one that begins at 1 is 0, so that no
        alert would see the first event of its kind. Not those by tool, which may be hundreds: their alerts ask for more
        than one."""
        for metric, held in self._known.values():
            if metric.kind == "counter" and metric.labels and "tool" not in metric.labels:
                for values in product(*(sorted(self._labels[label]) for label in metric.labels)):
                    held.labels(*values)

    def _shown(self, label: str, value: str | None) -> str:
        value = NONE if value is None and NONE in self._labels[label] else value
        return value if value in self._labels[label] else OTHER

    # ---- what records add ----

    def batch(self, agent: str, done: PreparedBatch) -> None:
        """Count one finished batch of a unit."""
        tally = done.tally
        self.add("endocrine_batches_total", agent=agent)
        self.add("endocrine_batch_records", tally.read, agent=agent)
        self.add("endocrine_records_read_total", tally.read, agent=agent)
        self.add("endocrine_records_copies_total", tally.copies, agent=agent)
        self.add("endocrine_records_refused_total", tally.dead + tally.rejected, agent=agent)
        self.add("endocrine_records_unsealed_total", tally.unsealed, agent=agent)
        self.add("endocrine_agent_errors_total", tally.failed, agent=agent)
        self.add("endocrine_records_rekeyed_total", tally.rekeyed, agent=agent)
        produced = Tallies(out.topic for out in (*done.rejected_or_rerouted, *done.checkpoint.outbox))
        for topic, count in produced.items():
            self.add("endocrine_records_spoken_total", count, topic=topic)
        for out in (*done.rejected_or_rerouted, *done.checkpoint.outbox):
            if out.topic.endswith(DEAD_LETTERS):
                cause = dict(out.own).get(ERROR_KIND) or b""
                self.add("endocrine_dead_letters_total", cause=cause.decode("utf-8", "replace"))
        for out in done.checkpoint.outbox:
            if out.topic in _READERS and out.value is not None:
                _READERS[out.topic](self, orjson.loads(out.value))

    def processors(self, agents: Iterable[str]) -> None:
        """Set the units this process owns now: the agent's name of each."""
        self._held.clear()
        owned = Tallies(agents)
        for agent in self._labels["agent"]:
            self.add("endocrine_units", owned[agent], agent=agent)

    def answer(self, topic: str, value: Mapping[str, Any]) -> None:
        """Count a connector's answer: a record of `tool-results` or `model-replies`; others count nothing."""
        if topic == "tool-results":
            self.add("endocrine_tool_results_total", tool=value["tool"], status=value["status"])
            self.add("endocrine_tool_duration_seconds", value["duration_ms"] / 1000, tool=value["tool"])
        elif topic == "model-replies":
            self.add("endocrine_model_replies_total", reply=value["status"])
            self.add("endocrine_model_latency_seconds", value["latency_ms"] / 1000, reply=value["status"])
            if value["usage"] is not None:
                self.add("endocrine_model_tokens_total", value["usage"]["input_tokens"], direction="input")
                self.add("endocrine_model_tokens_total", value["usage"]["output_tokens"], direction="output")

    def hold(self, revision: Mapping[str, Any]) -> None:
        """Note whether a turn waits for a person, and count what its waiting came to."""
        turn, refusal = revision.get("audit_id", ""), revision["refusal"]
        if refusal == "held":
            self._held[turn] = None
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        elif turn in self._held:
            del self._held[turn]
            self.add("endocrine_holds_ended_total", outcome=refusal or "admitted")
        self.add("endocrine_turns_held", len(self._held))

    # ---- serving ----

    def stop_with(self, stop: Callable[[], None]) -> None:
        """Set what `stop` is to do."""
        self._stop = stop

    def stop(self) -> None:
        """Serve no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None


def _decision(metrics: Metrics, value: Mapping[str, Any]) -> None:
    labels = {name: value[name] for name in ("tool", "decision", "reason")}
    metrics.add("endocrine_tool_decisions_total", **labels)
    if value["decision"] == "allowed" or value["reason"] == "circuit_open":
        metrics.add("endocrine_tool_circuit_open", value["reason"] == "circuit_open", tool=value["tool"])


def _incident(metrics: Metrics, value: Mapping[str, Any]) -> None:
    metrics.add("endocrine_incidents_total", kind=value["kind"])


def _modulation(metrics: Metrics, value: Mapping[str, Any]) -> None:
    metrics.hold(value)
    if value["revision"] > 0:
        metrics.add("endocrine_revisions_total", mode=value["mode"])
        lineages = [[step["step"] for step in steps] for steps in value.get("lineage", {}).values()]
        # Later revisions have the step too, behind those from the default on.
        if any(steps[:1] == ["carry"] and "tighten" in steps for steps in lineages):
            metrics.add("endocrine_auto_tightened_total")
        return
    metrics.add("endocrine_turns_total", mode=value["mode"], refusal=value["refusal"])
    for signal in value["signals"]:
        metrics.add("endocrine_signals_total", signal=signal["name"], fate=signal["fate"])


def _audit(metrics: Metrics, value: Mapping[str, Any]) -> None:
    latency = (value.get("latency_ms") or {}).get("total")
    if value.get("supplement") == 0 and latency is not None:
        metrics.add("endocrine_turn_seconds", latency / 1000)


_READERS: dict[str, Callable[[Metrics, Mapping[str, Any]], None]] = {
    "tool-decisions": _decision,
    "incidents": _incident,
    "modulations": _modulation,
    "audits": _audit,
}
