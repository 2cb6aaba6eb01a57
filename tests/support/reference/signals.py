"""Generated tables of docs/signals.md: what the shipped policy says about signals. Pure."""

from collections.abc import Iterator

from endocrine.agents.policy.document import Document
from endocrine.agents.policy.parameters import TIGHTENING
from endocrine.pipeline.process.policy_files import shipped_policy
from reference.markdown import table

EVENTS = {
    "guardian_veto": "a guardian vetoed the answer (an incident)",
    "moderation_flag": "moderation flagged a prompt, an answer or a tool's output (an incident)",
    "tool_failure": "a tool result with status error or timeout",
    "budget_near": "a turn opens while most of the identity's token budget is spent",
}


def signal_parts() -> dict[str, list[str]]:
    """Name of a generated part to its lines, from the policy as shipped."""
    document = shipped_policy().document
    return {
        "signals": table(("signal", "strength", "cooldown", "direction", "sets"), _signals(document)),
        "maps": table(("signal", "parameter", "value at level x"), _maps(document)),
        "emitters": table(("event", "raises", "level", "lives", "source"), _emitters(document)),
    }


def _signals(document: Document) -> Iterator[tuple[str, str, str, str, str]]:
    for rules in sorted(document.signals, key=lambda one: one.precedence):
        direction = "tightens only" if rules.name in TIGHTENING else "either way"
        sets = ", ".join(document.maps.get(rules.name, {}))
        yield f"`{rules.name}`", f"{rules.precedence:g}", _duration(rules.cooldown_ms), direction, sets


def _maps(document: Document) -> Iterator[tuple[str, str, str]]:
    for rules in sorted(document.signals, key=lambda one: one.precedence):
        for parameter, rule in document.maps.get(rules.name, {}).items():
            yield f"`{rules.name}`", parameter, f"`{rule.expression}`"


def _emitters(document: Document) -> Iterator[tuple[str, str, str, str, str]]:
    for emitter in document.homeostat.emitters:
        level = "highest score of the incident" if emitter.level == "score" else f"{emitter.level:g}"
        lives = _duration(emitter.ttl_ms) if emitter.ttl_ms else "for its turn"
        yield f"{EVENTS[emitter.event]}", f"`{emitter.signal}`", level, lives, f"`{emitter.source}`"


def _duration(milliseconds: int) -> str:
    return "none" if not milliseconds else f"{milliseconds / 1000:g} s"
