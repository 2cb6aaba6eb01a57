"""A decision as one plain sentence: what was decided, and because of what. Pure."""

from collections.abc import Mapping
from typing import Any

from endocrine.agents.audit.narrative import CAUSES, REASONS, number
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import ERROR
from endocrine.pipeline.views.describe import described
from endocrine.pipeline.views.event import Event
from endocrine.pipeline.views.text_width import clean

DECISIONS = ("modulations", "tool-decisions", "incidents", "attribution-changes", "bond-events", "state-events")
"""Topics whose records are decisions, and so sentences; and every dead letter."""
_COUNTED = ("used", "capped", "clamped")
_SHOWN = 4


def sentence(topic: str, value: Any, headers: Mapping[str, str | None]) -> str | None:
    """Return the sentence of a derived record; None where it is no decision (a state, a request, a bundle)."""
    if holds_dead_letters(topic):
        reason = headers.get(ERROR) or "no reason given"
        return clean(f"A record of {topic.removesuffix('.dlq')} is refused as a dead letter, because {reason}.")
    if topic not in DECISIONS or not isinstance(value, Mapping):
        return None
    if topic == "modulations":
        return clean(_turn(value))
    if topic == "tool-decisions":
        return clean(_call(value))
    if topic == "incidents":
        return clean(_incident(value))
    line = described(Event(topic, "", "", value, True))
    return None if line is None else f"{' '.join(line.split())}."


def _turn(value: Mapping[str, Any]) -> str:
    turn = f"Turn {value['audit_id']} of {value['identity']}"
    if value["revision"]:
        turn += f" (revision {value['revision']})"
    if value["refusal"] == "held":
        return f"{turn} is held, because it waits for a person."
    if value["refusal"] is not None:
        return f"{turn} is not admitted, because {REASONS.get(value['refusal'], value['refusal'])}."
    parameters = value["parameters"]
    tools = parameters["tool_allowlist"]
    return (
        f"{turn} runs {value['mode']} at temperature {number(parameters['temperature'])} with at most"
        f" {parameters['max_output_tokens']} tokens and {' and '.join(tools) or 'no tools'}, because {_causes(value)}."
    )


def _causes(value: Mapping[str, Any]) -> str:
    """What moved a parameter: signals with their levels, else steps of the policy; in the order of the lineage."""
    levels = {one["name"]: one for one in value["signals"] if one["fate"] in _COUNTED}
    causes: dict[str, None] = {}
    for steps in value["lineage"].values():
        for step in steps:
            if step["from"] is None or step["from"] == step["to"] or step["step"] in ("default", "bounds"):
                continue
            signal = levels.get(step["by"])
            if signal is not None:
                causes[f"{step['by']} is {number(signal['level'])} (from {signal['source']})"] = None
            else:
                causes[f"of {CAUSES.get(step['step'], step['by'])}"] = None
    if not causes:
        return "nothing moved the policy's defaults"
    shown = list(causes)
    more = [f"{len(shown) - _SHOWN} more causes"] if len(shown) > _SHOWN else []
    return " and ".join([*shown[:_SHOWN], *more])


def _call(value: Mapping[str, Any]) -> str:
    call = f"Call {value['call_id']} of turn {value['audit_id']} for {value['function']}"
    if value["decision"] == "allowed":
        return (
            f"{call} is allowed, because {value['tool']} is on the turn's allowlist and its arguments are as declared."
        )
    rule = f" (rule {value['rule']})" if value.get("rule") else ""
    if value["decision"] == "pending":
        return f"{call} waits, because a person must approve it{rule}."
    return f"{call} is denied, because {REASONS.get(value['reason'], value['reason'])}{rule}."


def _incident(value: Mapping[str, Any]) -> str:
    whose = f"turn {value['audit_id']}" if value["audit_id"] else value["identity"]
    attempted = f" ({value['attempted']})" if value["attempted"] else ""
    reason = REASONS.get(value["reason"], value["reason"])
    return f"An incident is recorded for {whose}: {value['kind'].replace('_', ' ')}{attempted}, because {reason}."
