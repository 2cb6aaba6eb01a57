"""One record of a timeline as one line: what happened, to what it leads. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from endocrine.pipeline.views.describe import why
from endocrine.pipeline.views.text_width import number

Json = Mapping[str, Any]
KINDS: Mapping[str, tuple[str, ...]] = {
    "turns": ("interactions", "modulations"),
    "decisions": ("tool-decisions",),
    "incidents": ("incidents",),
    "observations": ("observations", "attribution-changes"),
    "bond": ("bond-events",),
    "memory": ("memory-events", "conflict-events", "state-events"),
    "links": ("link-events",),
    "feedback": ("feedback",),
    "commands": ("commands",),
}
"""Kinds of entries that one may filter by, with their topics."""
KIND_OF = {topic: kind for kind, topics in KINDS.items() for topic in topics}


@dataclass(frozen=True)
class Line:
    """One entry. text: what happened. audit_id: of the turn that it leads to; None: to none."""

    text: str
    audit_id: str | None = None


def line_of(topic: str, value: Json) -> Line:
    """Return the line of a record, as much of it as the reader may see: what is content may lack."""
    if not value:
        return Line("shown to keys with the scope content")
    return _LINES[topic](value)


def _interaction(value: Json) -> Line:
    if value["kind"] == "opened":
        prompt = f": {_short(value['prompt'])}" if "prompt" in value else ""
        return Line(f"turn opened{prompt}", value["audit_id"])
    ended = f", {value['finish']}" if value.get("finish") else ""
    answer = f": {_short(value['response'])}" if value.get("response") else ""
    return Line(f"turn closed{ended}{answer}", value["audit_id"])


def _modulation(value: Json) -> Line:
    because = f" ({reason})" if (reason := why(dict(value))) else ""
    return Line(f"revision {value['revision']}, mode {value['mode']}{because}", value["audit_id"])


def _decision(value: Json) -> Line:
    reason = f", {value['reason']}" if value["reason"] else ""
    return Line(f"{value['function']}: {value['decision']}{reason}", value["audit_id"])


def _incident(value: Json) -> Line:
    attempted = f" {value['attempted']}" if value["attempted"] else ""
    return Line(f"{value['kind']}{attempted}: {value['reason']}", value["audit_id"])


def _observation(value: Json) -> Line:
    return Line(f"{value['primitive']} observed: {_short(value['value'])}")


def _change(value: Json) -> Line:
    if value["kind"] == "multi_actor_suspected":
        return Line(f"several actors suspected: {', '.join(value['primitives'])}, {number(value['confidence'])}")
    return Line(
        f"{value['primitive']}: {value['old_state']} to {value['new_state']}, confidence {number(value['confidence'])}"
    )


def _bond_event(value: Json) -> Line:
    detail = f": {value['detail']}" if "detail" in value else ""
    return Line(f"{value['event_type']}{detail}")


def _memory_event(value: Json) -> Line:
    what = f" {value['type']}" if value["type"] else ""
    change = f", {value['old_status']} to {value['new_status']}" if value["old_status"] != value["new_status"] else ""
    content = f": {_short(value['content'])}" if value.get("content") else ""
    return Line(f"memory{what} {value['kind']}{change}{content}, by {value['by']}", value.get("interaction_id"))


def _conflict_event(value: Json) -> Line:
    action = f", {value['action']}" if value["action"] else ""
    return Line(f"conflict over {value['slot']} {value['kind']}{action}, by {value['by']}")


def _state_event(value: Json) -> Line:
    new = f": {_short(value['new'])}" if value.get("new") else ""
    return Line(f"trusted state [{value['category']}] {value['key']} {value['kind']}{new}, by {value['by']}")


def _link_event(value: Json) -> Line:
    return Line(
        f"link of {value['a']} and {value['b']} {value['kind']}, score {number(value['score'])}, by {value['by']}"
    )


def _feedback(value: Json) -> Line:
    note = f": {_short(value['note'])}" if value.get("note") else ""
    return Line(f"rated {value['rating']} of 5{note}", value["target_action_id"])


def _command(value: Json) -> Line:
    reason = f": {_short(value['reason'])}" if value.get("reason") else ""
    return Line(f"{value['kind']}{reason}, by {value['by']}", value.get("audit_id"))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 160 else f"{text[:159]}…"


_LINES: Mapping[str, Callable[[Json], Line]] = {
    "interactions": _interaction,
    "modulations": _modulation,
    "tool-decisions": _decision,
    "incidents": _incident,
    "observations": _observation,
    "attribution-changes": _change,
    "bond-events": _bond_event,
    "memory-events": _memory_event,
    "conflict-events": _conflict_event,
    "state-events": _state_event,
    "link-events": _link_event,
    "feedback": _feedback,
    "commands": _command,
}
