"""The closed list of metrics: name, kind, labels, meaning. Nothing else is ever exported.

A label takes its values from a closed vocabulary only, so that no identity, prompt or address can end up in one and the
number of series is bounded; any other value is shown as `other`.
"""

from typing import Literal, NamedTuple, get_args

from endocrine.schemas.vocabulary import (
    Decision,
    Fate,
    IncidentKind,
    Mode,
    Reason,
    Refusal,
    RegulatedSignal,
    ReplyStatus,
    ToolStatus,
)

Label = Literal[
    "agent",
    "topic",
    "tool",
    "decision",
    "reason",
    "kind",
    "mode",
    "refusal",
    "signal",
    "fate",
    "status",
    "reply",
    "direction",
]
OTHER = "other"
NONE = "none"
"""The label of a reason or refusal that is null."""
WORDS: dict[str, tuple[str, ...]] = {
    "decision": get_args(Decision),
    "reason": (NONE, *get_args(Reason)),
    "kind": get_args(IncidentKind),
    "mode": get_args(Mode),
    "refusal": (NONE, *get_args(Refusal)),
    "signal": get_args(RegulatedSignal),
    "fate": get_args(Fate),
    "status": get_args(ToolStatus),
    "reply": get_args(ReplyStatus),
    "direction": ("input", "output"),
}
"""Vocabularies that the schemas close. Those of agent, topic and tool are the roster, the catalogue, the registry."""


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    labels: tuple[Label, ...]
    help: str
    """What is counted, and in which unit."""
    buckets: tuple[float, ...] = ()
    """Upper bounds, of histograms."""


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RECORDS = (1, 2, 5, 10, 50, 100, 500, 1000, 2000)
METRICS: tuple[Metric, ...] = (
    Metric("endocrine_records_read_total", "counter", ("agent",), "Records read, copies and refused ones included."),
    Metric("endocrine_records_copies_total", "counter", ("agent",), "Records that were copies and changed nothing."),
    Metric("endocrine_records_refused_total", "counter", ("agent",), "Records sent to dead letters, or met as such."),
    Metric(
        "endocrine_records_unsealed_total",
        "counter",
        ("agent",),
        "Records without a valid seal on topics that only workers and connectors write.",
    ),
    Metric("endocrine_agent_errors_total", "counter", ("agent",), "Records the agent failed on: faults of its code."),
    Metric("endocrine_records_rekeyed_total", "counter", ("agent",), "Records met under a key that did not fit."),
    Metric("endocrine_records_spoken_total", "counter", ("topic",), "Derived records produced."),
    Metric("endocrine_batches_total", "counter", ("agent",), "Batches checkpointed and produced."),
    Metric("endocrine_batch_records", "histogram", ("agent",), "Records per batch.", _RECORDS),
    Metric("endocrine_units", "gauge", ("agent",), "Partitions of the agent that this process owns."),
    Metric("endocrine_retries_total", "counter", ("agent",), "Times a unit waited for the broker and tried again."),
    Metric("endocrine_fenced_total", "counter", ("agent",), "Times a unit found its partition owned by another."),
    Metric("endocrine_turns_total", "counter", ("mode", "refusal"), "Turns opened, by the mode they began in."),
    Metric("endocrine_revisions_total", "counter", ("mode",), "Revisions of open turns, by the mode they lead to."),
    Metric("endocrine_signals_total", "counter", ("signal", "fate"), "Signals listed by first revisions, by fate."),
    Metric("endocrine_tool_decisions_total", "counter", ("tool", "decision", "reason"), "Answers of the gate."),
    Metric("endocrine_incidents_total", "counter", ("kind",), "Incidents."),
    Metric("endocrine_tool_results_total", "counter", ("tool", "status"), "Tool runs that came to an end."),
    Metric(
        "endocrine_tool_calls_not_run_total",
        "counter",
        ("tool",),
        "Allowed calls not run: not as decided, or late.",
    ),
    Metric("endocrine_tool_duration_seconds", "histogram", ("tool",), "Seconds a tool ran.", _SECONDS),
    Metric("endocrine_model_replies_total", "counter", ("reply",), "Replies of a language model, by status."),
    Metric("endocrine_model_latency_seconds", "histogram", ("reply",), "Seconds until a model replied.", _SECONDS),
    Metric("endocrine_model_tokens_total", "counter", ("direction",), "Tokens spent on replies."),
)
