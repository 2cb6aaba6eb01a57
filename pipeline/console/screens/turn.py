"""One turn as its audit bundle explains it: what was decided, why, what became of it, and how to prove it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
from annotated_types import Ge, Le
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.audit.narrative import REASONS
from endocrine.pipeline.console.reports import sentences
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.bundles import turn_explained
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of, with_bodies
from endocrine.pipeline.views.explain.find import Explained
from endocrine.pipeline.views.explain.lineage import summary
from endocrine.pipeline.views.explain.sections import paragraphs, plain, sections
from endocrine.pipeline.views.explain.sections import title as title_of
from endocrine.pipeline.views.redis import views
from endocrine.schemas.modulations import Parameters


async def turn(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show one turn."""
    gateway, audit_id = console.gateway, request.path_params["audit_id"]
    parts = await views.turn(redis_of(gateway), keys_of(gateway), audit_id)
    if parts is None:
        raise Problem("not_found", "no such turn in the read models; they may be a moment behind")
    found = await turn_explained(gateway, visitor.caller, parts)
    explained = None if found is None else found.explained
    modulation: Mapping[str, Any] = (explained.bundle if explained else parts.get("modulation")) or {}
    (bodies,) = await with_bodies(gateway, visitor.caller, [parts])
    shown = shown_turn(parts)
    proof = console.operations.tasks.of_turn(audit_id)
    return console.page(
        request,
        visitor,
        "turn.html",
        title=title_of(explained) if explained else f"Turn {audit_id}",
        turn=shown | {"mode": _last_mode(explained) or shown["mode"]},
        bodies=bodies,
        paragraphs=paragraphs(explained) if explained else [],
        sections=[one for one in sections(explained) if one.title != "Parameters"] if explained else [],
        parameters=parameters_of(modulation, explained),
        functions=_functions(console, modulation, parts.get("modulation") or {}),
        blocked=_blocked(explained),
        degraded=[plain(one) for one in explained.bundle.get("degraded", ())] if explained else [],
        raw=orjson.dumps(explained.as_json(), option=orjson.OPT_INDENT_2).decode() if explained else "",
        feedback=feedback_command(str(request.base_url), shown["identity"], audit_id),
        proof=proof,
        proof_sentences=[] if proof is None else sentences(proof),
    )


def parameters_of(modulation: Mapping[str, Any], explained: Explained | None) -> list[dict[str, Any]]:
    """Return each parameter with its bounds, its share of the way between them (0 to 100), and how it came about.

    modulation: a bundle, or what the read models hold of the turn's parameters: that has no lineage.
    """
    given, lineage = modulation.get("parameters") or {}, modulation.get("lineage") or {}
    signals = modulation.get("signals") or ()
    found = []
    for name, info in Parameters.model_fields.items():
        if name not in given:
            continue
        value, steps = given[name], lineage.get(name, ())
        least = next((part.ge for part in info.metadata if isinstance(part, Ge)), None)
        most = next((part.le for part in info.metadata if isinstance(part, Le)), None)
        one = {"name": name, "value": value, "least": least, "most": most, "share": None}
        if isinstance(value, int | float) and least is not None and most is not None:
            low, high = float(cast(float, least)), float(cast(float, most))
            one["share"] = max(0.0, min(100.0, round(100 * (float(value) - low) / (high - low), 1)))
        one["summary"] = summary(value, steps, signals) if steps else None
        one["steps"] = [_step(step, explained.maps if explained else {}, name) for step in steps]
        found.append(one)
    return found


def _step(step: Mapping[str, Any], maps: Mapping[str, Any], parameter: str) -> dict[str, Any]:
    expression = step.get("expression")
    if expression is None and step["step"] in ("map", "guard"):
        rule = maps.get(step["by"], {}).get(parameter)
        expression = rule.get("expression") if isinstance(rule, Mapping) else rule
    return {"step": step["step"], "by": step["by"], "to": step["to"], "expression": expression}


def _last_mode(explained: Explained | None) -> str | None:
    everything = () if explained is None else (explained.bundle, *explained.supplements)
    return next((one["mode"] for one in reversed(everything) if one["mode"] is not None), None)


def _functions(console: Console, modulation: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Names of the functions that the model was offered: those of allowed tools, and the application's own."""
    registry = console.gateway.policy.document.tools.root
    allowed = (modulation.get("parameters") or {}).get("tool_allowlist") or ()
    ours = [registry[name].function if name in registry else name for name in allowed]
    return [plain(name) for name in (*ours, *(known.get("application_tools") or ()))]


def _blocked(explained: Explained | None) -> list[dict[str, str]]:
    everything: Sequence[Mapping[str, Any]] = () if explained is None else (explained.bundle, *explained.supplements)
    return [
        {"function": plain(call["function"]), "because": REASONS.get(call["reason"], plain(call["reason"]))}
        for one in everything
        for call in one["blocked"]
    ]


def feedback_command(base: str, identity: str, audit_id: str) -> str:
    """Return a shell command that rates a turn. base: the gateway's address.

    >>> feedback_command("http://x/", "ann", "t1").split()[-1]
    'http://x/v1/feedback'
    """
    # ASCII alone: what is shown is what is copied, whatever the identity holds.
    body = json.dumps({"identity": identity, "target_action_id": audit_id, "rating": 5})
    return (
        "curl -H 'content-type: application/json' -H \"authorization: Bearer $ENDOCRINE_API_KEY\" \\\n"
        f"  -d {shlex.quote(body)} {shlex.quote(f'{base}v1/feedback')}"
    )


PAGES = (Page("/turns/{audit_id:id}", turn),)
