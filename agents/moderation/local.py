"""The verdict of the local rules on one text."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from endocrine.agents._shared.normalise import without_escapes
from endocrine.agents.moderation.patterns import Matcher, read
from endocrine.agents.moderation.rules import JudgedText, ModerationRules, Preset, Rule


class Verdict(NamedTuple):
    """What moderation makes of a text."""

    scores: Mapping[str, float]
    """Categories that scored above 0, in the order of their names."""
    rules: tuple[str, ...]
    """Names of the rules that fired; of a remote verdict none."""
    flagged: bool
    blocked: bool

    @property
    def score(self) -> float:
        """The highest category score."""
        return max(self.scores.values(), default=0.0)

    def reason(self) -> str:
        """Return categories with their scores and the rules that fired; never a word of the text."""
        shown = ", ".join(f"{category} {score:g}" for category, score in self.scores.items())
        return f"{shown} ({', '.join(self.rules)})" if self.rules else shown


def judge(text: str, place: JudgedText, preset: Preset, rules: ModerationRules) -> Verdict:
    """Hold a text against the local rules. Cost is linear in its length."""
    return _judged(text, place, preset, rules, rules.matchers)


def judge_piece(text: str, place: JudgedText, preset: Preset, rules: ModerationRules) -> Verdict:
    """Hold a piece of a text against the local rules that name a span: what the others find needs the whole text."""
    return _judged(text, place, preset, rules, rules.spanned)


def judge_all(text: str, place: JudgedText, preset: Preset, rules: ModerationRules) -> Verdict:
    """Hold a text of any length against the local rules, piece by piece; pieces overlap, so none hides a phrase."""
    stride = rules.chars - rules.chars // 10
    pieces = [text[at : at + rules.chars] for at in range(0, max(1, len(text) - rules.chars // 10), stride)]
    verdicts = [judge(piece, place, preset, rules) for piece in pieces]
    if len(verdicts) == 1:
        return verdicts[0]
    scores: dict[str, float] = {}
    for verdict in verdicts:
        for name, score in verdict.scores.items():
            scores[name] = max(score, scores.get(name, 0.0))
    fired = {name for verdict in verdicts for name in verdict.rules}
    return weigh(scores, tuple(name for name, _, _ in rules.matchers if name in fired), place, preset, rules)


def _judged(
    text: str,
    place: JudgedText,
    preset: Preset,
    rules: ModerationRules,
    matchers: Sequence[tuple[str, Rule, Matcher]],
) -> Verdict:
    readings = [read(text, rules.chars)]
    if (unescaped := without_escapes(text[: rules.chars])) is not None:
        readings.append(read(unescaped, rules.chars))
    fired = [(name, rule) for name, rule, occurs in matchers if any(occurs(one, rules.gap) for one in readings)]
    scores: dict[str, float] = {}
    for _, rule in fired:
        scores[rule.category] = max(rule.score, scores.get(rule.category, 0.0))
    return weigh(scores, tuple(name for name, _ in fired), place, preset, rules)


def weigh(
    scores: Mapping[str, float], fired: tuple[str, ...], place: JudgedText, preset: Preset, rules: ModerationRules
) -> Verdict:
    """Return the verdict on scores; those of a category that no rule names are flagged, and block nowhere."""
    level = getattr(rules.presets, preset)
    ordered = {category: scores[category] for category in sorted(scores) if scores[category] > 0}
    flagged = any(score >= level.flag for score in ordered.values())
    blocked = any(score >= level.block and place in rules.blocks.get(name, ()) for name, score in ordered.items())
    return Verdict(ordered, fired, flagged, blocked)
