"""One event as one plain line. Pure."""

from typing import Any

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.views.event import Event
from endocrine.pipeline.views.text_width import clean, number, signed


def why(turn: dict[str, Any]) -> str:
    """Return what made a turn's parameters: a refusal, a suggested review, the signals used; empty for a plain turn."""
    used = [f"{one['name']} {number(one['level'])}" for one in turn["signals"] if one["fate"] in _USED]
    changes = [turn["refusal"]] if turn["refusal"] else []
    changes += ["review"] if turn["review"] != "none" else []
    tightened = {step["step"] for steps in turn["lineage"].values() for step in steps} & {"tighten", "lock"}
    return ", ".join(changes + sorted(tightened) + used)


_USED = ("used", "capped", "clamped")


def described(event: Event) -> str | None:
    """Return the line; None for records that only repeat a state (its changes are events of their own)."""
    if holds_dead_letters(event.topic):
        topic = source_of(event.topic)
        return clean(f"dead letter   {topic} {event.key}: {event.value['kind']}: {event.value['error']}")
    write = _LINES.get(event.topic)
    return clean(write(event.value)) if write and event.value is not None else None


def _turn(value: dict[str, Any]) -> str:
    p = value["parameters"]
    because = f"  ({reason})" if (reason := why(value)) else ""
    return (
        f"turn          {value['audit_id']} revision {value['revision']} {value['mode']}:"
        f" temperature {number(p['temperature'])}, top_p {number(p['top_p'])}, {p['max_output_tokens']} tokens,"
        f" effort {number(p['reasoning_effort'])}, tools {'+'.join(p['tool_allowlist']) or 'none'}{because}"
    )


def _decision(value: dict[str, Any]) -> str:
    reason = f" {value['reason']}" if value["reason"] else ""
    return f"tool          {value['audit_id']} {value['function']}: {value['decision']}{reason}"


def _incident(value: dict[str, Any]) -> str:
    attempted = f" {value['attempted']}" if value["attempted"] else ""
    return f"incident      {value['identity']} {value['kind']}{attempted}: {value['reason']}"


def _style(value: dict[str, Any]) -> str:
    return (
        f"style         {value['identity']}: temperature {signed(value['temperature_delta'])},"
        f" top_p {signed(value['top_p_delta'])}, memory {signed(value['memory_write_boost'])},"
        f" {value['cards']} cards{', LOCKED to strict' if value['locked'] else ''}"
    )


def _change(value: dict[str, Any]) -> str:
    if value["kind"] == "multi_actor_suspected":
        return (
            f"suspicion     {value['identity']}: several actors suspected, confidence {number(value['confidence'])}"
            f" ({', '.join(value['primitives'])})"
        )
    return (
        f"attribution   {value['identity']} {value['primitive']}: {value['old_state']} -> {value['new_state']},"
        f" confidence {number(value['confidence'])}"
    )


def _bond_event(value: dict[str, Any]) -> str:
    return f"bond          {value['identity']} {value['event_type']}: {value['detail']}"


def _state_event(value: dict[str, Any]) -> str:
    """Without the values: they may be long, and are content."""
    because = f" ({value['reason']})" if value["kind"] == "refused" else ""
    return f"trusted       {value['subject']} [{value['category']}] {value['key']}: {value['kind']}{because}"


_LINES = {
    "modulations": _turn,
    "tool-decisions": _decision,
    "incidents": _incident,
    "style-tables": _style,
    "attribution-changes": _change,
    "bond-events": _bond_event,
    "state-events": _state_event,
}
