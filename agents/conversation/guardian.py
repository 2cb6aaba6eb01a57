"""The guardian: local rules over the final output, and reading the verdicts that come as records."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.state import Turn
from endocrine.agents.moderation.patterns import read

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_NAME_CHARS = 64
_MOST_NAMES = 8


def broken_rules(answer: str, turn: Turn, policy: "Policy") -> list[str]:
    """Return names of the rules that an answer breaks; empty: no veto. Linear in the answer's length."""
    rules = policy.document.conversation.guardian
    gap, chars = policy.document.moderation.gap, policy.document.moderation.chars
    text, mode = read(answer, chars), in_force(turn)["mode"]
    names = [name for name, rule, occurs in rules.matchers if mode in rule.modes and occurs(text, gap)]
    if rules.preamble_words:
        style = getattr(policy.document.prompt_styles, in_force(turn)["style"])
        instructions = [read(part, chars).words for part in (policy.document.system_base, style.system_preamble)]
        if any(_share_a_run(words, text.words, rules.preamble_words) for words in instructions):
            names.append("leaks_preamble")
    if mode in rules.cite_modes and turn["snippets"]:
        plain = answer.casefold()
        if not any(source.casefold() in plain for source, _ in turn["snippets"]):
            names.append("names_no_source")
    return names


def _share_a_run(one: Sequence[str], other: Sequence[str], length: int) -> bool:
    """Whether so many consecutive words are in both."""
    runs = {tuple(one[at : at + length]) for at in range(len(one) - length + 1)}
    return any(tuple(other[at : at + length]) in runs for at in range(len(other) - length + 1))


def verdict_of(content: str | None) -> list[str] | None:
    """Return the rules named in a model's verdict, empty where it has no veto; None where it is no verdict."""
    found = _object(content)
    if found is None or not isinstance(found.get("veto"), bool):
        return None
    if not found["veto"]:
        return []
    named = found.get("rules")
    names = [name[:_NAME_CHARS] for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return names[:_MOST_NAMES] or ["unnamed"]


def scores_of(content: str | None) -> dict[str, float] | None:
    """Return the scores of a moderation, `{"flagged": bool, "scores": {category: 0..1}}`; None: no verdict."""
    found = _object(content)
    scores = found.get("scores") if found is not None else None
    if not isinstance(scores, Mapping):
        return None
    kept: dict[str, float] = {}
    for name, score in scores.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            return None
        kept[str(name)[:_NAME_CHARS]] = float(score)
    return kept


def _object(content: str | None) -> Mapping[str, object] | None:
    try:
        found = orjson.loads(content or "")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, Mapping) else None
