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
    "cause",
    "outcome",
    "error",
]
GatewayLabel = Literal["route", "status", "hop", "outcome"]
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
    "cause": (
        "agent_error",
        "ambiguous_call",
        "conflicting_id",
        "conflicting_turn",
        "empty",
        "future_time",
        "headers_too_large",
        "inconsistent_modulation",
        "invalid",
        "key",
        "misfit",
        "not_json",
        "reserved_name",
        "structured_cloudevent",
        "too_large",
        "too_large_result",
        "too_many_waiting",
        "unknown_turn",
        "unsealed",
        "unsealed_result",
        "value",
        "wrong_value_kind",
    ),
    "outcome": ("admitted", "denied", "hold_expired"),
    "error": (
        "http_429",
        "http_4xx",
        "http_5xx",
        "provider_error",
        "malformed_reply",
        "stream_cut",
        "too_large",
        "no_connection",
        "stalled",
        "timeout",
        "content_filter",
    ),
}
"""Vocabularies: those that the schemas close, kinds of dead letters, why a try of the model connector failed.

Those of agent, topic and tool are the roster, the catalogue, the registry."""


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    labels: tuple[Label | GatewayLabel, ...]
    help: str
    """What is counted, and in which unit."""
    buckets: tuple[float, ...] = ()
    """Upper bounds, of histograms."""

    @property
    def unit(self) -> str:
        """What one of it is, as its name says.

        >>> Metric("endocrine_turn_seconds", "histogram", (), "").unit
        'seconds'
        """
        last = self.name.removesuffix("_total").rsplit("_", 1)[-1]
        return last if last in ("seconds", "ratio", "tokens", "dollars", "records") else "count"


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
    Metric("endocrine_dead_letters_total", "counter", ("cause",), "Dead letters produced, by the kind of the error."),
    Metric("endocrine_lag_records", "gauge", ("agent",), "Records that partitions of this process have still to read."),
    Metric(
        "endocrine_commit_age_seconds",
        "gauge",
        ("agent",),
        "Seconds without a step of the partition that waits longest; 0 where none has anything to read.",
    ),
    Metric(
        "endocrine_idle_ratio", "gauge", (), "Share of the last seconds in which the worker used no processor, 0 to 1."
    ),
    Metric("endocrine_units", "gauge", ("agent",), "Partitions of the agent that this process owns."),
    Metric("endocrine_retries_total", "counter", ("agent",), "Times a unit waited for the broker and tried again."),
    Metric("endocrine_fenced_total", "counter", ("agent",), "Times a unit found its partition owned by another."),
    Metric("endocrine_turns_total", "counter", ("mode", "refusal"), "Turns opened, by the mode they began in."),
    Metric("endocrine_revisions_total", "counter", ("mode",), "Revisions of open turns, by the mode they lead to."),
    Metric("endocrine_auto_tightened_total", "counter", (), "Open turns made strict because of a blocked tool call."),
    Metric("endocrine_turns_held", "gauge", (), "Turns that wait for a person, of those this process saw begin to."),
    Metric("endocrine_holds_ended_total", "counter", ("outcome",), "Held turns that were answered, or expired."),
    Metric("endocrine_turn_seconds", "histogram", (), "Seconds from the opening of a turn to its closing.", _SECONDS),
    Metric("endocrine_budget_limit_tokens", "gauge", (), "Tokens that the policy allows an identity in a window."),
    Metric(
        "endocrine_policy_rollout", "gauge", (), "Number of the rollout whose policy is in force; 0: none was made."
    ),
    Metric(
        "endocrine_policy_refused",
        "gauge",
        (),
        "1: this worker decides by an earlier policy, since it has no use for the one that was published last.",
    ),
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
    Metric(
        "endocrine_model_failed_tries_total", "counter", ("error",), "Calls of a model that failed, retried or not."
    ),
    Metric("endocrine_model_breaker_open", "gauge", (), "1: the model is left alone, for it failed again and again."),
    Metric(
        "endocrine_tool_circuit_open", "gauge", ("tool",), "1: the last call was denied because the tool keeps failing."
    ),
    Metric(
        "endocrine_chain_verified_timestamp_seconds",
        "gauge",
        (),
        "When `endocrine audit verify` found the audit chains sound. Seconds since 1970.",
    ),
)
VERIFIED = "endocrine_chain_verified_timestamp_seconds"
"""Written by a command that ends, for node exporter's textfile collector; no process serves it."""
_HOPS = (0.001, 0.0025, *_SECONDS)
GATEWAY_METRICS: tuple[Metric, ...] = (
    Metric(
        "endocrine_gateway_requests_total",
        "counter",
        ("route", "status"),
        "Requests answered, by template of the route and HTTP status.",
    ),
    Metric(
        "endocrine_gateway_hop_seconds",
        "histogram",
        ("hop",),
        "Seconds of each hop of an awaited answer: ack, decide, deliver.",
        _HOPS,
    ),
    Metric("endocrine_gateway_waiting", "gauge", (), "Requests that wait for an answer."),
    Metric("endocrine_gateway_streams", "gauge", (), "Streams of /v1/events open."),
    Metric(
        "endocrine_gateway_advice_late_total",
        "counter",
        (),
        "Turns answered with strict defaults, because their parameters did not come in time.",
    ),
    Metric(
        "endocrine_gateway_undecided_total",
        "counter",
        (),
        "Tool calls answered decision_timeout: they may not run.",
    ),
    Metric(
        "endocrine_gateway_contexts_total",
        "counter",
        ("outcome",),
        "Context packs: built; unavailable, as the read models are away; unrecorded, as the broker is.",
    ),
    Metric(
        "endocrine_gateway_unsealed_records",
        "gauge",
        (),
        "Records on derived topics under the key of a waiting request that were not ours.",
    ),
)
"""What a gateway counts. Routes are templates such as `/v1/turns/{audit_id}`, never paths as they were asked."""
