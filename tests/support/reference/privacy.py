"""The table of docs/privacy.md: what each topic holds of people, what for, and how long."""

from endocrine.pipeline.core.catalogue import CATALOGUE, DAY_MS, FOREVER, Topic
from reference.markdown import table

HOUR_MS = 3_600_000
CONTENT, INFERRED, FACTS, NOTHING = "content", "inferred", "facts", "nothing"
"""Texts that people or models wrote; what was inferred of somebody; what happened, under an id; no person."""
HOLDS: dict[str, tuple[str, str]] = {
    "interactions": (CONTENT, "prompts and answers: what turns are made of, and what replay proves from"),
    "signals": (FACTS, "levels of a moment, to decide parameters"),
    "observations": (INFERRED, "how somebody types or works, never what; to notice that an identity changed hands"),
    "tool-calls": (CONTENT, "arguments that a model wrote, to decide a call"),
    "tool-results": (CONTENT, "outputs of tools, to answer with them"),
    "feedback": (CONTENT, "ratings, and notes that are never carried on; to adapt style"),
    "detections": (INFERRED, "vectors of how somebody leans on the assistant, for bonds"),
    "commands": (CONTENT, "what operators did, with their notes, memories and statements"),
    "policies": (NOTHING, "rules, to prove decisions made under them"),
    "model-requests": (CONTENT, "messages for a model"),
    "model-replies": (CONTENT, "answers of a model"),
    "model-chunks": (CONTENT, "the same while it comes, for streams"),
    "images": (CONTENT, "images that people give, for a model"),
    "effect-starts": (FACTS, "that a tool began to run, so that it is not run twice"),
    "modulations": (FACTS, "how a turn was to be answered, and why"),
    "late-advice": (FACTS, "that an application was given strict defaults, because the parameters came too late"),
    "tool-decisions": (FACTS, "whether a call may run; arguments as a digest"),
    "incidents": (FACTS, "what was blocked; arguments redacted, the prompt as a keyed hash or not at all"),
    "scheduled-tasks": (CONTENT, "what the scheduler tool was asked"),
    "tool-analytics": (NOTHING, "figures per tool"),
    "style-tables": (INFERRED, "which style somebody prefers, to answer so"),
    "attribution-states": (INFERRED, "whether an identity behaves as before; gates nothing"),
    "attribution-changes": (INFERRED, "when that changed"),
    "bonds": (INFERRED, "how somebody leans on the assistant, with a cap and notes of operators"),
    "bond-events": (INFERRED, "when that changed"),
    "trusted-states": (CONTENT, "what operators state, to give it to models"),
    "state-events": (CONTENT, "when that changed, and by whom"),
    "captured": (CONTENT, "prompts and answers of closed turns, to find memories in them"),
    "memories": (CONTENT, "what was learned of somebody or a project, to give it to models"),
    "memory-events": (CONTENT, "when that changed, and by whom"),
    "opinions": (FACTS, "who is for or against a memory"),
    "candidates": (CONTENT, "what may become a memory once a person agrees"),
    "reinforcements": (FACTS, "memories that an answer agrees with"),
    "memory-orders": (CONTENT, "what the end of a conflict makes of a memory"),
    "conflict-marks": (FACTS, "which memories are disputed"),
    "conflicts": (CONTENT, "values that disagree, until a person ends it"),
    "conflict-events": (CONTENT, "when that changed, and by whom"),
    "facts": (CONTENT, "what tools know of a subject"),
    "context-packs": (CONTENT, "what models were given beside prompts, to explain answers"),
    "registry": (FACTS, "names of people and projects, and their aliases"),
    "registry-events": (FACTS, "when that changed, and by whom"),
    "rekeys": (FACTS, "that states were moved to another name"),
    "link-evidence": (INFERRED, "values that may link identities, as keyed digests"),
    "link-hints": (INFERRED, "pairs of identities that showed one value"),
    "identity-links": (INFERRED, "identities that may be one actor's: advice"),
    "link-events": (INFERRED, "when that changed, and by whom"),
    "audits": (FACTS, "why each turn was as it was, without its texts"),
    "journal": (NOTHING, "what each batch read, as digests and positions, to prove it"),
    "content-keys": ("digests of subjects", "keys that content is encrypted with, wrapped, where that is on"),
    "checkpoints": (NOTHING, "ends of the chains, signed"),
    "policy-rollouts": (NOTHING, "which rules are in force, and who put them there"),
    "erasures": (INFERRED, "states that are to be erased, or moved to another name with what they hold, and by whom"),
    "erasure-events": (FACTS, "what became of those states, as counts"),
    "ops-events": (NOTHING, "drills and receipts of erasures, which name nobody"),
    "dlq-actions": (FACTS, "who sent dead letters again or set them aside"),
}
"""Topic to what it holds of people, and what for. Every topic of the catalogue has its line (a KeyError otherwise)."""


def retention(topic: Topic) -> str:
    """How long its records are kept, in words.

    >>> retention(CATALOGUE["captured"]), retention(CATALOGUE["bonds"]), retention(CATALOGUE["model-chunks"])
    ('7 days', 'compacted', '1 hour')
    """
    if topic.cleanup == "compact":
        return "compacted"
    if topic.retention_ms == FOREVER:
        return "for ever"
    days, rest = divmod(topic.retention_ms, DAY_MS)
    count, unit = (topic.retention_ms // HOUR_MS, "hour") if rest else (days, "day")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def privacy_parts() -> dict[str, list[str]]:
    """The generated part of the page, by name. Raises KeyError where a topic has no line."""
    rows = [[f"`{name}`", *HOLDS[name], retention(topic)] for name, topic in CATALOGUE.items()]
    return {"privacy": table(["topic", "of people", "what, and what for", "kept"], rows)}
