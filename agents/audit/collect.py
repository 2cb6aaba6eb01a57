"""Facts that a record adds to its turn. Of prompts, responses, messages and arguments only what is shown is kept."""

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from endocrine.agents._shared.prompt_keys import prompt_hmac
from endocrine.agents._shared.redaction import redact
from endocrine.agents._shared.summaries import hides_prompt, summary_of
from endocrine.agents.audit.figures import dollars
from endocrine.agents.audit.memory import SAFE_INTEGER, Call, Exchange, Json, Turn, counted
from endocrine.agents.audit.revision import lineage_of, revised
from endocrine.agents.audit.rules import AuditRules
from endocrine.agents.contract import Trigger
from endocrine.schemas.commands import ApproveTurn, ClearRisk, DenyTurn
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.models import ModelReply, ModelRequest
from endocrine.schemas.modulations import LateAdvice, Modulation
from endocrine.schemas.tools import Incident, ToolCall, ToolDecision, ToolResult

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

E = TypeVar("E")
_QUOTES = re.compile(r"[:\"'`(\[{<\n]")
"""Where a model's error may begin to repeat what it was sent: only the text before it is kept."""


def add(turn: Turn, trigger: Trigger, policy: "Policy") -> Turn | None:
    """Return the turn with the record's facts; None where it has no new one (a copy, a second closing)."""
    after = _TOPICS[trigger.topic]({**turn}, trigger.value, policy)
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
    turns: dict[str, Turn], command: ClearRisk | ApproveTurn | DenyTurn, policy: "Policy"
) -> dict[str, Turn]:
    """Return the turns with an operator's command about them: all of the identity where the command names none.

    An answer about a turn that was not seen held is left out: the modulation agent rejects it.
    """
    after = dict(turns)
    for name, turn in turns.items():
        if command.audit_id not in (None, name) or turn["closed"] is not None:
            continue
        modulation = turn["modulation"]
        if command.kind != "clear_risk" and (modulation is None or modulation["refusal"] != "held"):
            continue
        known, intervention = turn.get("interventions", []), {"kind": command.kind, "by": command.by, "ts": command.ts}
        if len(known) < policy.document.audit.incidents:
            after[name] = {**turn, "interventions": [*known, intervention], "last": max(turn["last"], command.ts)}
        else:
            after[name] = {**turn, "omitted": counted(turn["omitted"], "interventions")}
    return after if after != turns else turns


def shown(text: str | None, policy: "Policy") -> str | None:
    """Return free text as it may be shown: redacted and truncated."""
    if text is None:
        return None
    redacted = str(redact(text, policy.document.gating))
    limit = policy.document.audit.text_chars
    return redacted if len(redacted) <= limit else redacted[: limit - 1] + "…"


def _interaction(turn: Turn, value: Opened | Closed, policy: "Policy") -> Turn | None:
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
        return None  # the first opening counts; modulation rejects another with other content
    rules, gating = policy.document.audit, policy.document.gating
    turn["opened"] = {
        "ts": value.ts,
        "session_id": value.session_id,
        "turn": value.turn,
        "client": value.client,
        "project": value.project or None,
        "model": value.model,
        "prompt_chars": len(value.prompt),
        "prompt_hmac": prompt_hmac(value.prompt, policy),
        "prompt": str(redact(value.prompt, gating))[: rules.prompt_chars] if rules.include_prompt else None,
        **({"images": len(value.images)} if value.images else {}),
    }
    asked = None if value.asked is None else sent(value.asked.model_dump(exclude_none=True), rules)
    turn["given"] = {"door": value.door, "enforce": value.enforce is not False, "asked": asked}
    return turn


def _modulation(turn: Turn, value: Modulation, policy: "Policy") -> Turn | None:
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


_CALL: Call = {
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


def _entry(entries: Mapping[str, E], name: str, empty: E, most: int, turn: Turn, kind: str) -> E | None:
    """Return what is known under an id, or `empty`; None where there are `most` others: it is counted as omitted.

    kind: what the omitted record is counted as.
    """
    known = entries.get(name)
    if known is None and len(entries) >= most:
        turn["omitted"] = counted(turn["omitted"], kind)
        return None
    return empty if known is None else known


def _known_call(turn: Turn, name: str, policy: "Policy", kind: str) -> Call | None:
    return _entry(turn["calls"], name, _CALL, policy.document.audit.calls, turn, kind)


def _known_exchange(turn: Turn, name: str, policy: "Policy", kind: str) -> Exchange | None:
    return _entry(turn["requests"], name, _EXCHANGE, policy.document.audit.requests, turn, kind)


def _call(turn: Turn, value: ToolCall, policy: "Policy") -> Turn | None:
    known = _known_call(turn, value.call_id, policy, "calls")
    if known is None:
        return turn
    if known["seen"]:
        return None  # the first counts; the gate rejects another with other content
    rules = policy.document
    call: Call = {
        **known,
        "seen": True,
        "function": shown(value.tool, policy),
        "step": value.step,
        "ts": value.ts,
        "arguments": summary_of(value, policy) if rules.audit.include_arguments else None,
    }
    if value.runner is not None:
        call["runner"] = value.runner
    turn["calls"] = {**turn["calls"], value.call_id: call}
    return turn


def _decision(turn: Turn, value: ToolDecision, policy: "Policy") -> Turn | None:
    # A conflict is about a second call under the id. Where the first one is decided it has an entry of its own; else it
    # is all that is known, until the first one's decision comes.
    conflict, first = value.reason == "conflicting_call", turn["calls"].get(value.call_id, _CALL)
    apart = conflict and first["decision"] is not None and first["reason"] != "conflicting_call"
    name = f"conflicting {value.call_id}" if apart else value.call_id
    known = _known_call(turn, name, policy, "decisions")
    if known is None:
        return turn
    if known["decision"] in ("allowed", "denied") and (conflict or known["reason"] != "conflicting_call"):
        return None
    call: Call = {
        **known,
        "tool": value.tool,
        "decision": value.decision,
        "reason": value.reason,
        "incident_id": value.incident_id,
        "function": shown(value.function, policy),
        "runner": value.runner,  # whatever the call itself has
    }
    if not known["seen"]:
        call["ts"] = value.ts
    if apart:
        call["call_id"] = value.call_id
    turn["calls"] = {**turn["calls"], name: call}
    return turn


def _result(turn: Turn, value: ToolResult, policy: "Policy") -> Turn | None:
    known = _known_call(turn, value.call_id, policy, "results")
    if known is None:
        return turn
    if known["result"] is not None:
        return None
    # Whoever ran our own search may have put the prompt there; the call's own summary is shown then.
    hidden = not policy.document.audit.include_arguments or hides_prompt(value.audit_id, value.call_id, policy)
    result: Json = {
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


def _incident(turn: Turn, value: Incident, policy: "Policy") -> Turn | None:
    if value.incident_id in turn["incidents"]:
        return None
    if len(turn["incidents"]) >= policy.document.audit.incidents:
        turn["omitted"] = counted(turn["omitted"], "incidents")
        return turn
    incident = {
        "incident_id": value.incident_id,
        "kind": value.kind,
        "attempted": shown(value.attempted, policy),
        "reason": shown(value.reason, policy),
        "params_snapshot": value.params_snapshot.model_dump(),
        "prompt_hmac": value.prompt_hmac,
        "ts": value.ts,
    }
    turn["incidents"] = {**turn["incidents"], value.incident_id: incident}
    return turn


_EXCHANGE: Exchange = {"request": None, "reply": None}


def _request(turn: Turn, value: ModelRequest, policy: "Policy") -> Turn | None:
    known = _known_exchange(turn, value.request_id, policy, "requests")
    if known is None:
        return turn
    if known["request"] is not None:
        return None
    request = {
        "step": value.step,
        "model": value.model,
        "parameters": sent(value.parameters, policy.document.audit),
        "dropped": [shown(name, policy) for name in value.dropped[: policy.document.audit.records]],
        "ts": value.ts,
        "purpose": value.purpose,
        "stream": value.stream,
    }
    turn["requests"] = {**turn["requests"], value.request_id: {**known, "request": request}}
    return turn


def _reply(turn: Turn, value: ModelReply, policy: "Policy") -> Turn | None:
    known = _known_exchange(turn, value.request_id, policy, "replies")
    if known is None:
        return turn
    if known["reply"] is not None:
        return None
    reply = {
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
    turn["requests"] = {**turn["requests"], value.request_id: {**known, "reply": reply}}
    return turn


def _late(turn: Turn, value: LateAdvice, policy: "Policy") -> Turn | None:
    if turn.get("late") is not None:
        return None
    turn["late"] = {"within_ms": value.within_ms, "mode": value.mode, "ts": value.ts}
    return turn


def sent(parameters: Mapping[str, Any], rules: AuditRules) -> Json:
    """Return the parameters of a request that hold no text, in the order of the rules."""
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


_TOPICS: Mapping[str, Callable[[Turn, Any, "Policy"], Turn | None]] = {
    "interactions": _interaction,
    "modulations": _modulation,
    "tool-calls": _call,
    "tool-decisions": _decision,
    "tool-results": _result,
    "incidents": _incident,
    "model-requests": _request,
    "model-replies": _reply,
    "late-advice": _late,
}
TOPICS = tuple(_TOPICS)
"""Topics whose records belong to a turn, in the order in which a bundle names them."""
