"""The outcome of a turn: text that goes out, and the end of the answer; or a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from endocrine.pipeline.gateway.openai.port import ClosedTurn, ReplyCall, Usage
from endocrine.pipeline.gateway.openai.refusals import Refused

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
NO_USAGE = Usage()
WITHHELD = frozenset({"output_blocked", "vetoed", "no_verdict", "model_refused"})
"""Ends of a turn that has an answer, which is not shown."""
REFUSED: Mapping[str, str] = {
    "input_blocked": "content_policy_violation",
    "too_long": "context_length_exceeded",
    "rate_limited": "rate_limited",
    "too_many_turns": "rate_limited",
    "budget_exceeded": "insufficient_quota",
    "denied": "turn_denied",
    "hold_expired": "decision_timeout",
    "no_modulation": "decision_timeout",
    "no_revision": "decision_timeout",
    "model_error": "model_error",
    "model_timeout": "model_timeout",
}
"""Ends of a turn without an answer, with what the application gets."""


@dataclass(frozen=True)
class Delta:
    """Text of the answer that goes out now."""

    text: str


@dataclass(frozen=True)
class Answer:
    """The end of an answer. text: all of it, what went out as Delta too."""

    text: str
    finish: FinishReason
    calls: tuple[ReplyCall, ...] = ()
    usage: Usage = NO_USAGE
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was decided after the headers: the `endocrine` object, or `metadata`."""


def arguments_text(call: ReplyCall) -> str:
    """Return a call's arguments as JSON text."""
    return call.arguments if isinstance(call.arguments, str) else orjson.dumps(call.arguments).decode()


def refusal_of(closed: ClosedTurn, audit_id: str) -> Refused | None:
    """Return the refusal that a turn's end means; None where there is an answer."""
    code = closed.refused or REFUSED.get(closed.finish)
    return None if code is None else Refused(code, retry_after_ms=closed.retry_after_ms, audit_id=audit_id)


def finish_of(closed: ClosedTurn, withheld: FinishReason) -> FinishReason:
    """Return the finish reason of a turn that has an answer, or the fixed sentence in its place."""
    if closed.finish in WITHHELD:
        return withheld
    return "length" if closed.finish == "cut" else "stop"
