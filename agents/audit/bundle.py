"""The bundle: what is known of a turn, in the order of its model. Which topic came first makes no difference to it."""

from typing import Any

from endocrine.agents.audit import figures
from endocrine.agents.audit.collect import TOPICS
from endocrine.agents.audit.memory import SAFE_INTEGER, Call, Exchange, Json, Turn
from endocrine.agents.audit.narrative import explained, headline

MODERATION = ("moderation", "guardian_veto")


def bundle(identity: str, audit_id: str, turn: Turn, status: str, incomplete: list[str]) -> Json:
    """Return the value of a record of `audits`, without `previous` and `hash`, which the engine adds."""
    modulation = turn["modulation"] or {}
    parameters = modulation.get("parameters")
    calls = sorted(
        ((name, _timed(call)) for name, call in turn["calls"].items()), key=lambda item: (item[1]["ts"], item[0])
    )
    incidents = sorted(turn["incidents"].values(), key=lambda incident: (incident["ts"], incident["incident_id"]))
    models = [_model_call(name, exchange) for name, exchange in turn["requests"].items()]
    models.sort(key=lambda call: (call["step"], call["ts"], call["request_id"]))
    closed, given = turn["closed"], turn.get("given") or {}
    exchanges, known = list(turn["requests"].values()), list(turn["calls"].values())
    streams = {exchange["request"].get("stream") for exchange in exchanges if exchange["request"] is not None}
    value = {
        "identity": identity,
        "audit_id": audit_id,
        "ts": turn["last"],
        "supplement": turn["supplement"],
        "status": status,
        "incomplete": incomplete,
        "headline": "",
        "explanation": "",
        "opened": turn["opened"],
        "closed": None if closed is None else {name: item for name, item in closed.items() if name != "usage"},
        "admitted": modulation.get("admitted"),
        "refusal": modulation.get("refusal"),
        "review": modulation.get("review"),
        "mode": modulation.get("mode"),
        "prompt_style": modulation.get("prompt_style"),
        "parameters": parameters,
        "lineage": modulation.get("lineage", {}),
        "allowlist": None if parameters is None else parameters["tool_allowlist"],
        "signals": turn["signals"],
        "revisions": turn["revisions"],
        "tools": [_used(name, call) for name, call in calls if call["decision"] != "denied"],
        "blocked": [_blocked(name, call) for name, call in calls if call["decision"] == "denied"],
        "incidents": [incident for incident in incidents if incident["kind"] not in MODERATION],
        "moderation": [
            {name: incident[name] for name in ("incident_id", "kind", "reason", "ts")}
            for incident in incidents
            if incident["kind"] in MODERATION
        ],
        "models": models,
        "dropped": sorted({name for call in models for name in call["dropped"]}),
        "budget": {
            "max_output_tokens": None if parameters is None else parameters["max_output_tokens"],
            "replies": _spent(models),
            "closed": None if closed is None else closed["usage"],
        },
        "policies": sorted(turn["policies"]),
        "records": {topic: turn["records"][topic] for topic in TOPICS if topic in turn["records"]},
        "omitted": {kind: turn["omitted"][kind] for kind in sorted(turn["omitted"])},
        "interventions": sorted(turn.get("interventions", []), key=lambda one: (one["ts"], one["kind"], one["by"])),
        "door": given.get("door"),
        "enforce": given.get("enforce"),
        "stream": next((stream for stream in ("windowed", "buffered") if stream in streams), None),
        "asked": given.get("asked"),
        "latency_ms": figures.latency(turn["opened"], closed, exchanges, known),
        "tokens": figures.tokens(exchanges),
        "cost": figures.cost(exchanges) if exchanges else None,
        "degraded": figures.degraded(known),
        **({"advice_late": turn["late"]} if "late" in turn else {}),
    }
    value["headline"] = headline(value, turn.get("said_mode"))
    value["explanation"] = explained(value, turn.get("said_mode"))
    return value


def _timed(call: Call) -> Call:
    """A call with a time: its own, its decision's, or that of a result that came alone."""
    result = call["result"]
    if result is None:
        return call
    timed: Call = {**call, "ts": result["ts"] if call["ts"] is None else call["ts"]}
    if result.get("runner"):
        return {**timed, "runner": result["runner"], "function": call["function"] or result["tool"]}
    return {**timed, "tool": call["tool"] or result["tool"]}


def _used(name: str, call: Call) -> Json:
    result = call["result"] or {}
    return {
        "call_id": name,
        "function": call["function"],
        "tool": call["tool"],
        "step": call["step"],
        "decision": call["decision"],
        "status": result.get("status"),
        "duration_ms": result.get("duration_ms"),
        "args_summary": result.get("args_summary") or call["arguments"],
        "ts": call["ts"],
        **({"runner": call["runner"]} if call.get("runner") else {}),
    }


def _blocked(name: str, call: Call) -> Json:
    result = call["result"] or {}
    return {
        "call_id": call.get("call_id", name),
        "function": call["function"],
        "tool": call["tool"],
        "step": call["step"],
        "reason": call["reason"],
        "incident_id": call["incident_id"],
        "executed": result.get("status"),
        "args_summary": call["arguments"],
        "ts": call["ts"],
        **({"runner": call["runner"]} if call.get("runner") else {}),
    }


def _model_call(name: str, exchange: Exchange) -> Json:
    request, reply = exchange["request"] or {}, exchange["reply"] or {}
    either: Any = request or reply
    return {
        "request_id": name,
        "step": either["step"],
        "model": reply.get("model") or either["model"],
        "status": reply.get("status"),
        "finish_reason": reply.get("finish_reason"),
        "latency_ms": reply.get("latency_ms"),
        "usage": reply.get("usage"),
        "tool_calls": reply.get("tool_calls", 0),
        "parameters": request.get("parameters", {}),
        "dropped": request.get("dropped", []),
        "error": reply.get("error"),
        "ts": either["ts"],
    }


def _spent(models: list[Json]) -> Json:
    known = [call["usage"] for call in models if call["usage"] is not None]
    return {kind: min(sum(usage[kind] for usage in known), SAFE_INTEGER) for kind in ("input_tokens", "output_tokens")}
