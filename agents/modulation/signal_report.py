"""What became of every signal of a turn, and what they made of it, in sentences (rules, section 1: `explain`)."""

from collections.abc import Iterable, Mapping
from typing import Any

from endocrine.agents._shared.moments import moment

_FATES = {
    "used": "used",
    "clamped": "used, at the end of the scale it lay beyond",
    "capped": "used, at the cap of its source",
    "expired": "not used, its time to live was over",
    "other_turn": "not used, it was for another turn",
    "cooldown": "not used, within the cooldown of its name",
    "cleared": "not used, an operator cleared it",
    "budget": "not used, the budget of its source was spent",
}


def explain(audit_id: str, modulations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one line per signal looked at and per parameter that moved, revision by revision.

    modulations: records of the topic, of any turns, each revision once; those of `audit_id` are taken in their order.
    """
    lines = []
    own = sorted((one for one in modulations if one["audit_id"] == audit_id), key=lambda one: int(one["revision"]))
    for record in own:
        head = f"revision {record['revision']}"
        if record["refusal"] == "held":
            lines.append(f"{head}: the turn is held, it waits for a person until {moment(record['expires'])}")
        elif record["refusal"] is not None:
            lines.append(f"{head}: the turn is refused, {record['refusal']}")
        for signal in record["signals"]:
            described = f"{signal['name']} {signal['level']:g} from {signal['source']} at {moment(signal['ts'])}"
            lines.append(f"{head}: {described}: {_FATES[signal['fate']]}")
        for name, steps in record["lineage"].items():
            moved = [step for step in steps[1:] if step["from"] != step["to"]]
            if moved:
                ways = "".join(f" -> {_shown(step['to'])} by {step['by']} ({step['step']})" for step in moved)
                lines.append(f"{head}: {name} {_shown(steps[0]['to'])}{ways}")
    return lines


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)
