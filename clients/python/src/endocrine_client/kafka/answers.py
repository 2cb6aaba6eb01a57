"""Answers in the gateway's form, made of records. Pure."""

from dataclasses import asdict
from typing import NamedTuple

from endocrine_client.kafka.records import Json
from endocrine_client.kafka.watch import Watch
from endocrine_client.parameters import STRICT

_STATUS = {"needs_gateway": 400, "not_json": 400, "tool_denied": 403, "refused": 403, "conflict": 409, "too_large": 413,
           "invalid": 422, "rate_limited": 429, "budget_exceeded": 429, "broker_away": 503, "not_recorded": 503,
           "decision_timeout": 503}  # fmt: skip
_MALFORMED = ("invalid", "not_json", "too_large")
"""Kinds of dead letters that say a record is wrong in itself; others contradict what is on record."""
_DECISION = ("call_id", "audit_id", "identity", "function", "tool", "decision", "reason", "incident_id", "policy", "ts",
             "rule", "expires", "arguments_digest", "revision", "message", "runner")  # fmt: skip
"""Fields of a decision that are passed on. Not `enforce`: over Kafka nobody merely observes."""


class Reply(NamedTuple):
    """Status and body."""

    status: int
    value: Json


def problem(kind: str, detail: str, **more: object) -> Reply:
    """A problem document (RFC 9457)."""
    status = _STATUS[kind]
    return Reply(status, {"type": f"/problems/{kind}", "title": kind, "status": status, "detail": detail, **more})


def refusal(watch: Watch, record_id: str) -> Reply | None:
    """The dead letter of a record as an answer; None without one."""
    if (found := watch.refused.get(record_id)) is None:
        return None
    kind, message = found
    return problem("invalid" if kind in _MALFORMED else "conflict", message, reason=kind)


def opened(watch: Watch, record_id: str) -> Reply | None:
    """The answer to an opening; None where there is none yet."""
    first = watch.modulations.get(0)
    if first is None:
        return refusal(watch, record_id)
    # A turn that was held is answered as it is now, where this is asked again.
    now = (watch.modulation or first) if first.get("refusal") == "held" else first
    refused = now.get("refusal")
    if refused == "held":
        return Reply(202, now)
    if refused is None and now.get("admitted") is True:
        return Reply(201, now)
    kind = str(refused) if refused in ("rate_limited", "budget_exceeded") else "refused"
    return problem(kind, f"the turn is refused: {refused}", turn=now)


def late(watch: Watch) -> Reply:
    """The answer to an opening that is on record and has no modulation in time: strict, nothing to act with."""
    mode = STRICT.safety_mode
    return Reply(201, {"audit_id": watch.audit_id, "identity": watch.identity, "revision": None, "admitted": True,
                       "refusal": None, "review": "none", "mode": mode, "parameters": asdict(STRICT),
                       "prompt_style": mode, "functions": [], "advice": "late"})  # fmt: skip


def decided(watch: Watch, record_id: str, call: Json, digest: str | None) -> Reply | None:
    """The answer to a call; None where there is none yet."""
    found = watch.decision(call["call_id"], call["tool"], digest)
    if found is None:
        return refusal(watch, record_id)
    value = {name: found[name] for name in _DECISION if name in found} | {"modulation": watch.modulation}
    if found["decision"] == "denied":
        return problem("tool_denied", f"{found.get('reason')}: the call must not run", **value)
    return Reply(200 if found["decision"] == "allowed" else 202, value)


def outcome(watch: Watch, command: Json) -> Json | None:
    """What is to be seen of a command: a decision, a modulation, an event; None where nothing is, or not yet."""
    kind = command["kind"]
    if kind in ("approve", "deny"):
        final = (one for one in watch.decisions.values() if one["decision"] != "pending")
        return next((one for one in final if one["call_id"] == command.get("call_id")), None)
    if kind in ("approve_turn", "deny_turn", "clear_risk"):
        return watch.modulation
    return watch.outcomes.get(command["id"])
