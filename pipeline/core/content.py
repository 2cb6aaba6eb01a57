"""What of a record is content: text of people and models. Pure.

One list for all who treat content apart from the rest: doors, which leave it out for callers without the scope
`content`, and whoever asks what an erasure has to reach.
"""

from typing import Any

Json = dict[str, Any]
FREE = frozenset(
    ("modulations", "tool-decisions", "incidents", "attribution-states", "attribution-changes", "tool-analytics",
     "scheduled-tasks", "style-tables", "reinforcements", "opinions", "conflict-marks", "registry-events", "rekeys",
     "link-evidence", "link-hints", "identity-links", "erasures", "erasure-events", "ops-events", "late-advice")
)  # fmt: skip
"""Topics without content. Of `scheduled-tasks` the note is one."""
FIELDS: dict[str, tuple[str, ...]] = {
    "scheduled-tasks": ("note", "when"),
    "bonds": ("notes",),
    "bond-events": ("detail", "data"),
    "trusted-states": ("value",),
    "state-events": ("old", "new", "reason"),
    "memories": ("content", "value"),
    "memory-events": ("content", "value", "reason"),
    "conflicts": ("members", "reason"),
    "conflict-events": ("members", "reason"),
    "captured": ("response", "memories_used", "chunks_used"),
    "candidates": ("content",),
    "memory-orders": ("content",),
    "facts": ("value",),
    "context-packs": ("formatted_context", "chunks"),
    "interactions": ("prompt", "context_pack", "context_used", "messages", "application_tools", "response",
                     "response_summary", "memories_used", "chunks_used"),
    "tool-calls": ("arguments",),
    "tool-results": ("output", "args_summary"),
    "feedback": ("note", "tags"),
    "model-replies": ("content", "tool_calls"),
    "model-requests": ("messages", "tools"),
    "model-chunks": ("text",),
    "images": ("data",),
    "link-events": ("reason",),
    "registry": ("description", "roots"),
    "audits": (),
}  # fmt: skip
"""Fields of other topics that are content; a topic named in neither is content as a whole."""
PARTS: dict[str, dict[str, str]] = {"audits": {"opened": "prompt", "tools": "args_summary", "blocked": "args_summary"}}
"""Fields whose objects hold content, and where in them."""
ENCRYPTED: dict[str, tuple[str, ...]] = FIELDS | {
    "commands": ("text", "value", "content", "reason", "description", "roots", "entry", "events", "state"),
    "erasures": ("state",),
}
"""What is encrypted per subject where `content_encryption` is on. Of observations, signals and detections nothing is:
they are labels and figures of programs."""


def without_content(topic: str, value: Json) -> Json:
    """Return the record without what people and models wrote."""
    if topic == "audits":
        return _bundle(value)
    if topic not in FIELDS:
        return value if topic in FREE else {}
    return {name: part for name, part in value.items() if name not in FIELDS[topic]}


def _bundle(value: Json) -> Json:
    shown = dict(value)
    for name, inner in PARTS["audits"].items():
        held = shown.get(name)
        if isinstance(held, list):
            shown[name] = [one | {inner: None} for one in held]
        elif held:
            shown[name] = held | {inner: None}
    return shown
