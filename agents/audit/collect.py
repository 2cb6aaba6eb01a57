"""What a record adds to its turn. Nothing is kept of prompts, responses, messages and arguments but what is shown."""

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.prompt_keys import prompt_hmac
from endocrine.agents._shared.redaction import redact
from endocrine.agents._shared.summaries import hides_prompt, summary_of
from endocrine.agents.audit.figures import dollars
from endocrine.agents.audit.memory import SAFE_INTEGER, Json, counted
from endocrine.agents.audit.revision import lineage_of, revised
from endocrine.agents.audit.rules import AuditRules
from endocrine.agents.contract import Trigger
from endocrine.schemas.commands import ApproveTurn, ClearRisk, DenyTurn
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.models import ModelReply, ModelRequest
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import Incident, ToolCall, ToolDecision, ToolResult

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_QUOTES = re.compile(r"[:\"'`(\[{<\n]")
"""Where a model's error may begin to repeat what it was sent: only what stands before is kept."""


def add(turn: Json, trigger: Trigger, policy: "Policy") -> Json | None:
    """The turn with what the record says; None where it says nothing new (a copy, a second closing)."""
    after = _TOPICS[trigger.topic](dict(turn), trigger.value, policy)
    if after is None:
        return None
    rules = policy.document.audit
    named = after["records"].get(trigger.topic, [])
    if len(named) < rules.records:
        after["records"] = {**after["records"], trigger.topic: [*named, trigger.id]}
    else:
        after["omitted"] = counted(after["omitted"], "records")
    made_under = getattr(trigger.value, "policy", None)
    if made_under is not None and made_under not in after["policies"]:
        if len(after["policies"]) < rules.policies:
            after["policies"] = [*after["policies"], made_under]
        else:
            after["omitted"] = counted(after["omitted"], "policies")
    after["since"] = min(turn["since"], trigger.value.ts)
    after["last"] = max(turn["last"], trigger.value.ts)
    return after


def intervened(
    turns: dict[str, Json], command: ClearRisk | ApproveTurn | DenyTurn, policy: "Policy"
) -> dict[str, Json]:
    """The turns with what an operator asked about them: all of the identity where the command names none.

    An answer about a turn that was not seen held is left out: the modulation agent rejects it.
    """
    after = dict(turns)
    for name, turn in turns.items():
        if command.audit_id not in (None, name) or turn["closed"] is not None:
            continue
        modulation = turn["modulation"]
        if command.kind != "clear_risk" and (modulation is None or modulation["refusal"] != "held"):
            continue
        known, told = turn.get("interventions", []), {"kind": command.kind, "by": command.by, "ts": command.ts}
        if len(known) < policy.document.audit.incidents:
            after[name] = {**turn, "interventions": [*known, told], "last": max(turn["last"], command.ts)}
        else:
            after[name] = {**turn, "omitted": counted(turn["omitted"], "interventions")}
    return after if after != turns else turns


def shown(text: str | None, policy: "Policy") -> str | None:
    """Free text as it may be shown: redacted and cut."""
    if text is None:
        return None
    told = str(redact(text, policy.document.gating))
    limit = policy.document.audit.text_chars
    return told if len(told) <= limit else told[: limit - 1] + "…"


def _interaction(turn: Json, value: Opened | Closed, policy: "Policy") -> Json | None:
    if isinstance(value, Closed):
        if turn["closed"] is not None:
            return None
        turn["closed"] = {
            "ts": value.ts,
            "response_chars": len(value.response),
            "memories_used": len(value.memories_used or ()),
            "chunks_used": len(value.chunks_used or ()),
            "usage": None if value.usage is None else value.usage.model_dump(),
        }
        return turn
    if turn["opened"] is not None:
        return None  # the first opening stands; other content is modulation's to reject
    rules, gating = policy.document.audit, policy.document.gating
    turn["opened"] = {
        "ts": value.ts,
        "session_id": value.session_id,
        "turn": value.turn,
        "client": value.client,
        "project": value.project,
        "model": value.model,
        "prompt_chars": len(value.prompt),
        "prompt_hmac": prompt_hmac(value.prompt, policy),
        "prompt": str(redact(value.prompt, gating))[: rules.prompt_chars] if rules.include_prompt else None,
    }
    asked = None if value.asked is None else sent(value.asked.model_dump(exclude_none=True), rules)
    turn["given"] = {"door": value.door, "enforce": value.enforce is not False, "asked": asked}
    return turn


def _modulation(turn: Json, value: Modulation, policy: "Policy") -> Json | None:
    before = turn["modulation"]
    if before is not None and value.revision <= before["revision"]:
        return None
    rules = policy.document.audit
    parameters = value.parameters.model_dump()
    turn["modulation"] = {
        "revision": value.revision,
        "admitted": value.admitted,
        "refusal": value.refusal,
        "review": value.review,
        "mode": value.mode,
        "prompt_style": value.prompt_style,
        "parameters": parameters,
        "lineage": lineage_of(value, before, policy),
        "ts": value.ts,
    }
    revision = {
        "revision": value.revision,
        "mode": value.mode,
        "changed": revised(value, parameters, before),
        "policy": value.policy,
        "ts": value.ts,
    }
    if len(turn["revisions"]) < rules.revisions:
        turn["revisions"] = [*turn["revisions"], revision]
    else:
        turn["omitted"] = counted(turn["omitted"], "revisions")
    signals = list(turn["signals"])
    for signal in value.signals:
        listed = signal.model_dump()
        if any({**known, "revision": 0} == {**listed, "revision": 0} for known in signals):
            continue
        if len(signals) < rules.signals:
            signals.append({**listed, "revision": value.revision})
        else:
            turn["omitted"] = counted(turn["omitted"], "signals")
    turn["signals"] = signals
    return turn


_CALL: Json = {
    "seen": False,
    "function": None,
    "tool": None,
    "step": None,
    "ts": None,
    "arguments": None,
    "decision": None,
    "reason": None,
    "incident_id": None,
    "result": None,
}


def _known(turn: Json, kind: str, name: str, empty: Json, limit: int) -> Json | None:
    """What is known of a call or a request under its id; None where there are too many already."""
    known: Json | None = turn[kind].get(name)
    if known is None and len(turn[kind]) < limit:
        known = dict(empty)
    return known


def _call(turn: Json, value: ToolCall, policy: "Policy") -> Json | None:
    known = _known(turn, "calls", value.call_id, _CALL, policy.document.audit.calls)
    if known is None:
        turn["omitted"] = counted(turn["omitted"], "calls")
        return turn
    if known["seen"]:
        return None  # the first stands; other content is the gate's to reject
    rules = policy.document
    told = {
        "seen": True,
        "function": shown(value.tool, policy),
        "step": value.step,
        "ts": value.ts,
        "arguments": summary_of(value, policy) if rules.audit.include_arguments else None,
    }
    if value.runner is not None:
        told["runner"] = value.runner
    turn["calls"] = {**turn["calls"], value.call_id: {**known, **told}}
    return turn


def _decision(turn: Json, value: ToolDecision, policy: "Policy") -> Json | None:
    # A conflict is about a second call under the id. Where the first one is decided it has an entry of its own; else it
    # is all that is known, until the first one's decision comes.
    conflict, first = value.reason == "conflicting_call", turn["calls"].get(value.call_id, _CALL)
    apart = conflict and first["decision"] is not None and first["reason"] != "conflicting_call"
    name = f"conflicting {value.call_id}" if apart else value.call_id
    known = _known(turn, "calls", name, _CALL, policy.document.audit.calls)
    if known is None:
        turn["omitted"] = counted(turn["omitted"], "decisions")
        return turn
    if known["decision"] in ("allowed", "denied") and (conflict or known["reason"] != "conflicting_call"):
        return None
    told: Json = {
        "tool": value.tool,
        "decision": value.decision,
        "reason": value.reason,
        "incident_id": value.incident_id,
        "function": shown(value.function, policy),
    }
    told["runner"] = value.runner  # whatever the call itself says
    if not known["seen"]:
        told["ts"] = value.ts
    if apart:
        told["call_id"] = value.call_id
    turn["calls"] = {**turn["calls"], name: {**known, **told}}
    return turn


def _result(turn: Json, value: ToolResult, policy: "Policy") -> Json | None:
    known = _known(turn, "calls", value.call_id, _CALL, policy.document.audit.calls)
    if known is None:
        turn["omitted"] = counted(turn["omitted"], "results")
        return turn
    if known["result"] is not None:
        return None
    # Whoever ran our own search may have put the prompt there; the call's own summary is shown then.
    hidden = not policy.document.audit.include_arguments or hides_prompt(value.audit_id, value.call_id, policy)
    result = {
        "tool": value.tool,
        "status": value.status,
        "duration_ms": value.duration_ms,
        "args_summary": None if hidden else shown(value.args_summary, policy),
        "ts": value.ts,
    }
    if value.runner is not None:
        result["runner"] = value.runner
    ours = value.runner is None and value.tool in policy.document.tools.names
    if ours and isinstance(value.output, Mapping) and value.output.get("degraded") is True:
        result["degraded"] = True
    turn["calls"] = {**turn["calls"], value.call_id: {**known, "result": result}}
    return turn


def _incident(turn: Json, value: Incident, policy: "Policy") -> Json | None:
    if value.incident_id in turn["incidents"]:
        return None
    if len(turn["incidents"]) >= policy.document.audit.incidents:
        turn["omitted"] = counted(turn["omitted"], "incidents")
        return turn
    told = {
        "incident_id": value.incident_id,
        "kind": value.kind,
        "attempted": shown(value.attempted, policy),
        "reason": shown(value.reason, policy),
        "params_snapshot": value.params_snapshot.model_dump(),
        "prompt_hmac": value.prompt_hmac,
        "ts": value.ts,
    }
    turn["incidents"] = {**turn["incidents"], value.incident_id: told}
    return turn


_EXCHANGE: Json = {"request": None, "reply": None}


def _request(turn: Json, value: ModelRequest, policy: "Policy") -> Json | None:
    known = _known(turn, "requests", value.request_id, _EXCHANGE, policy.document.audit.requests)
    if known is None:
        turn["omitted"] = counted(turn["omitted"], "requests")
        return turn
    if known["request"] is not None:
        return None
    told = {
        "step": value.step,
        "model": value.model,
        "parameters": sent(value.parameters, policy.document.audit),
        "dropped": [shown(name, policy) for name in value.dropped[: policy.document.audit.records]],
        "ts": value.ts,
        "purpose": value.purpose,
        "stream": value.stream,
    }
    turn["requests"] = {**turn["requests"], value.request_id: {**known, "request": told}}
    return turn


def _reply(turn: Json, value: ModelReply, policy: "Policy") -> Json | None:
    known = _known(turn, "requests", value.request_id, _EXCHANGE, policy.document.audit.requests)
    if known is None:
        turn["omitted"] = counted(turn["omitted"], "replies")
        return turn
    if known["reply"] is not None:
        return None
    told = {
        "step": value.step,
        "model": value.model[: policy.document.audit.text_chars],
        "status": value.status,
        "finish_reason": shown(value.finish_reason, policy),
        "latency_ms": value.latency_ms,
        "usage": None if value.usage is None else value.usage.model_dump(),
        "dollars": dollars(value, policy.document.models),
        "tool_calls": len(value.tool_calls),
        "error": None if value.error is None else shown(_QUOTES.split(value.error, maxsplit=1)[0].strip(), policy),
        "ts": value.ts,
    }
    turn["requests"] = {**turn["requests"], value.request_id: {**known, "reply": told}}
    return turn


def sent(parameters: Mapping[str, Any], rules: AuditRules) -> Json:
    """Parameters of a request that hold no text, in the order of the rules."""
    return {name: parameters[name] for name in rules.sent_parameters if _harmless(parameters, name, rules)}


def _harmless(parameters: Mapping[str, Any], name: str, rules: AuditRules) -> bool:
    if name not in parameters:
        return False
    value = parameters[name]
    if isinstance(value, str):
        return len(value) <= rules.word_chars and value.isidentifier()
    if isinstance(value, int):
        return abs(value) <= SAFE_INTEGER
    return value is None or (isinstance(value, float) and isfinite(value))


_TOPICS: Mapping[str, Callable[[Json, Any, "Policy"], Json | None]] = {
    "interactions": _interaction,
    "modulations": _modulation,
    "tool-calls": _call,
    "tool-decisions": _decision,
    "tool-results": _result,
    "incidents": _incident,
    "model-requests": _request,
    "model-replies": _reply,
}
TOPICS = tuple(_TOPICS)
"""Topics whose records belong to a turn, in the order in which a bundle names them."""
