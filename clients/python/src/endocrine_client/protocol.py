"""The gateway's requests and answers. Pure: what is sent, and what an answer means."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from endocrine_client.calls import ToolCall
from endocrine_client.errors import Denied, NotAllowed, NotDecided, Pending
from endocrine_client.parameters import STRICT, Functions, Parameters

Json = dict[str, Any]
Fate = Literal["delivered", "refused", "retry"]
DELIVERED = frozenset({"rate_limited", "budget_exceeded", "refused"})
"""Problems of a turn that is on record, and refused."""
REFUSED = frozenset({
    "not_json", "bad_request", "identity_not_allowed", "not_found", "method_not_allowed", "conflict", "too_large",
    "unsupported_media_type", "invalid", "idempotency_mismatch", "headers_too_large", "needs_gateway",
})  # fmt: skip
"""Problems that sending again does not solve. All else may pass: a broker that is away, a key that is not yet valid."""


class Request(NamedTuple):
    """One POST. key: its `Idempotency-Key`; sent again under it, it is the same record."""

    path: str
    identity: str
    content: bytes
    key: str


def request(path: str, value: Mapping[str, Any], key: str | None = None) -> Request:
    """The request of a record; fields that are None are left out. Raises TypeError, ValueError: no JSON."""
    given = {name: part for name, part in value.items() if part is not None}
    content = json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(path, str(value.get("identity") or ""), content, key or uuid.uuid4().hex)


class Answer(NamedTuple):
    """What came back. status: 0 where nothing did; then `detail` says why."""

    status: int
    value: Json
    headers: Mapping[str, str]
    detail: str = ""

    @property
    def kind(self) -> str | None:
        """The kind of problem; None where it is no problem of the gateway's."""
        kind = self.value.get("type")
        found = self.status >= 400 and isinstance(kind, str) and kind.startswith("/problems/")
        return str(kind).removeprefix("/problems/") if found else None

    @property
    def retry_after_s(self) -> float:
        """Seconds that the gateway asks to wait; 0 where it asks for none."""
        try:
            return max(0.0, float(self.headers.get("retry-after", 0)))
        except ValueError:
            return 0.0

    @property
    def fate(self) -> Fate:
        """What became of the record that was sent."""
        if 200 <= self.status < 300:
            return "delivered"
        if self.kind in DELIVERED:
            return "delivered"
        # Only the gateway itself refuses a record: a page of something between may go away.
        return "refused" if self.kind in REFUSED else "retry"

    @property
    def passing(self) -> bool:
        """Whether the same request may have another answer in a moment."""
        busy = self.status in (0, 408, 429) or self.status >= 500
        return busy and self.kind not in DELIVERED

    def __str__(self) -> str:
        named = self.kind or self.detail or "no problem document"
        field = self.value.get("field")
        return f"{self.status} {named}" + (f", field {field}" if isinstance(field, str) else "")


def answer_of(status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    """An answer of HTTP; a body that is no JSON object counts as empty."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    return Answer(status, value if isinstance(value, dict) else {}, headers)


@dataclass(frozen=True)
class Modulation:
    """How to call the model, in one revision."""

    revision: int | None
    mode: str
    parameters: Parameters
    functions: Functions
    prompt_style: str
    review: str
    advice: str | None = None
    """`late`: the worker did not answer the gateway in time; `unavailable`: the gateway could not be asked. Both
    times the parameters are strict defaults."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Modulation":
        """Of a gateway's answer. Raises KeyError, TypeError, ValueError."""
        return cls(
            value.get("revision"),
            str(value["mode"]),
            Parameters.from_json(value["parameters"]),
            Functions.from_json(value.get("functions") or ()),
            str(value["prompt_style"]),
            str(value.get("review", "none")),
            value.get("advice"),
        )


UNAVAILABLE = Modulation(None, "strict", STRICT, Functions(), "strict", "none", "unavailable")


def opened(answer: Answer, audit_id: str) -> Modulation | None:
    """The modulation that a turn was opened with; None: not known. Raises Denied, Pending."""
    if answer.kind in DELIVERED:
        turn = answer.value.get("turn")
        reason = str((turn.get("refusal") if isinstance(turn, dict) else None) or answer.kind)
        raise Denied(f"the turn is refused: {reason}", audit_id=audit_id, reason=reason)
    if answer.status == 202:
        raise _pending("the turn waits for a person", answer, audit_id, None)
    if answer.status != 201:
        return None
    try:
        return Modulation.from_json(answer.value)
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Decision:
    """A tool call that may run."""

    call_id: str
    function: str
    """As the model wrote it."""
    arguments: Json
    """What was decided on: run the tool with these."""
    tool: str | None = None
    """Canonical name; None for a function of the application."""
    runner: str | None = None
    revision: int | None = None
    would: str | None = None
    """Why it would not be allowed, where the API key only observes (`endocrine keys create --observe`)."""
    allowed: Literal[True] = True
    """Always: what is not allowed is raised."""


def decided(answer: Answer, call: ToolCall, audit_id: str) -> Decision:
    """The decision. Raises Denied, Pending, NotDecided: all else is a no."""
    value = answer.value
    if answer.status == 403 and answer.kind == "tool_denied" and value.get("call_id") == call.call_id:
        reason = str(value.get("reason"))
        message = value.get("message") or f"{reason}: the call must not run"
        raise Denied(str(message), audit_id=audit_id, call_id=call.call_id, reason=reason)
    if answer.status == 202 and value.get("call_id") == call.call_id:
        raise _pending("the call waits for a person", answer, audit_id, call.call_id)
    observed = value.get("enforce") is False
    same = value.get("call_id") == call.call_id and value.get("function") == call.function
    if answer.status != 200 or not same or not (value.get("decision") == "allowed" or observed):
        raise undecided(f"no decision: {answer}", audit_id, call.call_id)
    if not isinstance(call.arguments, dict):
        raise Denied(
            "the arguments are no JSON object", audit_id=audit_id, call_id=call.call_id, reason="invalid_arguments"
        )
    return Decision(
        call.call_id,
        call.function,
        call.arguments,
        value.get("tool"),
        value.get("runner"),
        value.get("revision"),
        answer.headers.get("endocrine-would") if observed else None,
    )


def revised(answer: Answer) -> Modulation | None:
    """The modulation that comes with a decision, whatever it was; None without one."""
    value = answer.value.get("modulation")
    try:
        return Modulation.from_json(value) if isinstance(value, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def undecided(why: str, audit_id: str, call_id: str | None) -> NotDecided:
    """The error of a call that nobody decided."""
    return NotDecided(f"{why}; the call must not run", audit_id=audit_id, call_id=call_id, reason="not_decided")


def _pending(message: str, answer: Answer, audit_id: str, call_id: str | None) -> NotAllowed:
    error = Pending(message, audit_id=audit_id, call_id=call_id, reason=answer.value.get("reason") or "pending")
    expires = answer.value.get("expires")
    error.expires = float(expires) if isinstance(expires, (int, float)) else None
    return error
