"""A turn laid out as titled tables in plain English, once for all formats."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from endocrine.agents._shared.moments import moment
from endocrine.agents.audit.narrative import CORRECTION, FATES, REASONS, mode_history, number
from endocrine.pipeline.views.explain.find import Explained


@dataclass(frozen=True)
class Section:
    """A table. Columns without titles: facts, name and value. Cells hold no control characters."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def plain(value: Any) -> str:
    """Return text that is safe to print: no control or direction-changing characters, whatever a producer wrote.

    >>> plain("a\\x1b[31mb"), plain(None), plain(0.31999999999999995)
    ('a�[31mb', '-', '0.32')
    """
    shown = "-" if value is None else number(value)
    return "".join("�" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co") else sign for sign in shown)


def title(explained: Explained) -> str:
    """Return the heading: what became of the turn, and its modes up to the final one, supplements included."""
    bundle = explained.bundle
    everything = (bundle, *explained.supplements)
    last = next((one["mode"] for one in reversed(everything) if one["mode"] is not None), None)
    modes = mode_history([revision for one in everything for revision in one["revisions"]], last)
    if bundle["status"] == "refused":
        modes = ""
    outcome = f"{bundle['status']}, {bundle['refusal']}" if bundle["status"] == "refused" else bundle["status"]
    return plain(f"Turn {bundle['audit_id']} of {bundle['identity']}: {outcome}{f'; {modes}' if modes else ''}")


def paragraphs(explained: Explained) -> list[str]:
    """Return the explanations of the bundle and of its supplements; a warning first where something was altered."""
    # A supplement that corrects the mode comes first: who reads no further must not trust the bundle's mode.
    corrects = [one for one in explained.supplements if one["explanation"].startswith(CORRECTION)]
    rest = [one for one in (explained.bundle, *explained.supplements) if one not in corrects]
    shown = [plain(one["explanation"]) for one in (*corrects, *rest)]
    if explained.altered:
        warning = f"WARNING: {len(explained.altered)} record(s) below do not fit their own hash: somebody changed them."
        shown.insert(0, f"{warning} `endocrine audit verify` names the first broken record of the chain.")
    return shown


def sections(explained: Explained) -> list[Section]:
    """Return all tables that have something to say."""
    bundle = explained.bundle
    everything = [
        _turn(bundle),
        _table("Parameters", ("parameter", "value", "how it came about"), _parameters(explained)),
        _table("Signals", ("signal", "level", "source", "time", "what became of it"), map(_signal, bundle["signals"])),
        _table("Revisions", ("revision", "mode", "changed", "time"), map(_revision, bundle["revisions"])),
        _table("Model calls", ("step", "model", "status", "tokens in/out", "ms", "sent", "dropped"), _models(bundle)),
    ]
    for supplement in (bundle, *explained.supplements):
        after = f" (supplement {supplement['supplement']})" if supplement is not bundle else ""
        everything += _events(supplement, after)
    everything += _figures(bundle)
    everything.append(_proof(explained))
    return [section for section in everything if section.rows]


def _turn(bundle: Mapping[str, Any]) -> Section:
    opened, closed, budget = bundle["opened"] or {}, bundle["closed"] or {}, bundle["budget"]
    spent = budget["closed"] or budget["replies"]
    facts = {
        "opened": opened and moment(opened["ts"]),
        "closed": closed and moment(closed["ts"]),
        "session": opened and f"{opened['session_id']}, turn {opened['turn']}, client {opened['client']}",
        "project": opened.get("project"),
        "model asked for": opened.get("model"),
        "prompt": opened and (opened["prompt"] or f"{opened['prompt_chars']} characters, not kept"),
        "keyed hash of the prompt": opened.get("prompt_hmac"),
        "response": closed and f"{closed['response_chars']} characters, not kept",
        "admitted": None if bundle["admitted"] is None else "yes" if bundle["admitted"] else f"no: {bundle['refusal']}",
        "mode": bundle["mode"],
        "prompt style": bundle["prompt_style"],
        "review": bundle["review"],
        "tools allowed": bundle["allowlist"],
        "tokens": f"{spent['input_tokens']} in, {spent['output_tokens']} out",
        "tokens allowed per reply": budget["max_output_tokens"],
        "cost": _dollars((bundle.get("cost") or {}).get("total")),
        "milliseconds": (bundle.get("latency_ms") or {}).get("total"),
        "degraded tools": bundle.get("degraded") or None,
        "not seen in time": bundle["incomplete"] or None,
        "too many to keep": ", ".join(f"{count} {kind}" for kind, count in bundle["omitted"].items()) or None,
    }
    return Section("Turn", (), [(name, plain(fact)) for name, fact in facts.items() if fact not in (None, {})])


def _parameters(explained: Explained) -> Iterable[Sequence[Any]]:
    bundle = explained.bundle
    for name, value in (bundle["parameters"] or {}).items():
        steps = [_step(name, step, explained.maps) for step in bundle["lineage"].get(name, ())]
        yield name, value, "\n".join(steps)


def _step(parameter: str, step: Mapping[str, Any], maps: Mapping[str, Any]) -> str:
    expression = step["expression"]
    if expression is None and step["step"] in ("map", "guard"):
        rule = maps.get(step["by"], {}).get(parameter)
        expression = rule.get("expression") if isinstance(rule, Mapping) else rule
    by = step["by"] if expression is None else f"{step['by']}: {expression}"
    return f"{plain(step['to'])}  {step['step']} ({plain(by)})"


def _signal(one: Mapping[str, Any]) -> Sequence[Any]:
    return one["name"], one["level"], one["source"], moment(one["ts"]), FATES.get(one["fate"], one["fate"])


def _revision(one: Mapping[str, Any]) -> Sequence[Any]:
    changed = one["changed"]
    if changed is None:
        shown = "the revision before it was not seen"
    else:
        shown = "\n".join(f"{name}: {plain(step['from'])} to {plain(step['to'])}" for name, step in changed.items())
    return one["revision"], one["mode"], shown or "-", moment(one["ts"])


def _models(bundle: Mapping[str, Any]) -> Iterable[Sequence[Any]]:
    for call in bundle["models"]:
        usage = call["usage"]
        tokens = None if usage is None else f"{usage['input_tokens']}/{usage['output_tokens']}"
        sent = ", ".join(f"{name} {plain(value)}" for name, value in call["parameters"].items())
        status = call["status"] if call["error"] is None else f"{call['status']}: {call['error']}"
        yield call["step"], call["model"], status, tokens, call["latency_ms"], sent or None, call["dropped"] or None


def _events(bundle: Mapping[str, Any], after: str) -> list[Section]:
    used = [
        (call["tool"] or call["function"], call["decision"], call["status"], call["duration_ms"], call["args_summary"])
        for call in bundle["tools"]
    ]
    blocked = [
        (
            call["function"],
            REASONS[call["reason"]],
            call["incident_id"],
            f"YES: {call['executed']}" if call["executed"] else "no",
            call["args_summary"],
        )
        for call in bundle["blocked"]
    ]
    incidents = [
        (one["kind"], one["reason"], one["attempted"], one["params_snapshot"]["mode"], moment(one["ts"]))
        for one in bundle["incidents"]
    ]
    verdicts = [(one["kind"], one["reason"], moment(one["ts"])) for one in bundle["moderation"]]
    return [
        _table(f"Tools used{after}", ("tool", "decision", "status", "ms", "arguments, redacted"), used),
        _table(f"Calls denied{after}", ("function", "because", "incident", "executed", "arguments, redacted"), blocked),
        _table(f"Incidents{after}", ("kind", "reason", "attempted", "mode", "time"), incidents),
        _table(f"Moderation{after}", ("kind", "verdict", "time"), verdicts),
    ]


def _figures(bundle: Mapping[str, Any]) -> list[Section]:
    """Time and tokens by step, cost by model; bundles of older code lack them."""
    steps = [
        (one["step"], one["model_ms"], one["tools_ms"]) for one in (bundle.get("latency_ms") or {}).get("steps", ())
    ]
    tokens = [
        (one["step"], one["model"]["input_tokens"], one["model"]["output_tokens"], one["tools"])
        for one in bundle.get("tokens") or ()
    ]
    costs = [(model, _dollars(paid)) for model, paid in (bundle.get("cost") or {}).get("models", {}).items()]
    return [
        _table("Latency by step", ("step", "model, ms", "tools, ms"), steps),
        _table("Tokens by step", ("step", "in", "out", "added by its tools"), tokens),
        _table("Cost by model", ("model", "cost"), costs),
    ]


def _dollars(amount: float | None) -> str | None:
    """An amount for a person.

    >>> _dollars(0.00125), _dollars(3.0), _dollars(None)
    ('0.00125 USD', '3 USD', None)
    """
    return None if amount is None else f"{f'{amount:.6f}'.rstrip('0').rstrip('.')} USD"


def _proof(explained: Explained) -> Section:
    rows = [("hash", explained.bundle["hash"]), ("previous", plain(explained.bundle["previous"]))]
    rows += [("policy", digest) for digest in explained.bundle["policies"]]
    versions = sorted({one.version for one in explained.decided if one.version})
    rows.append(("code version", plain(versions)))
    for one in explained.decided:
        rows.append((one.topic, plain(f"{one.id}  in batch {one.cut}" if one.cut else f"{one.id}  no longer there")))
    return Section("Proof", (), rows)


def _table(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Section:
    return Section(name, columns, [["\n".join(map(plain, _lines(cell))) for cell in row] for row in rows])


def _lines(cell: Any) -> list[Any]:
    return cell.split("\n") if isinstance(cell, str) and cell else [cell]
