"""The verdict of the local rules on one text."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from endocrine.agents._shared.normalise import without_escapes
from endocrine.agents.moderation.patterns import Matcher, Text, read
from endocrine.agents.moderation.quotations import without_reported
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
    readings = _readings(text, rules)
    fired = [one for one in matchers if any(one[2](reading, rules.gap) for reading in readings)]
    unquoted = _unquoted(text, rules) if any(rule.quoted is not None for _, rule, _ in fired) else None
    scores: dict[str, float] = {}
    for _, rule, occurs in fired:
        score = rule.score
        if rule.quoted is not None and unquoted and not any(occurs(reading, rules.gap) for reading in unquoted):
            score = rule.quoted
        scores[rule.category] = max(score, scores.get(rule.category, 0.0))
    return weigh(scores, tuple(name for name, _, _ in fired), place, preset, rules)


def _readings(text: str, rules: ModerationRules) -> list[Text]:
    """The text as it reads, and where it holds escapes, with those resolved."""
    readings = [read(text, rules.chars, rules.broken)]
    if (unescaped := without_escapes(text[: rules.chars])) is not None:
        readings.append(read(unescaped, rules.chars, rules.broken))
    return readings


def _unquoted(text: str, rules: ModerationRules) -> list[Text] | None:
    """The readings of a text about attacks without the quotations that it reports; None where it reports none."""
    quotations, looked_at = rules.quotations, text[: rules.chars]
    if quotations is None:
        return None
    kept = without_reported(looked_at, quotations.leads, quotations.chars)
    if kept is None:
        return None
    readings = _readings(kept, rules)
    return readings if any(quotations.is_about(reading, rules.gap) for reading in readings) else None


def weigh(
    scores: Mapping[str, float], fired: tuple[str, ...], place: JudgedText, preset: Preset, rules: ModerationRules
) -> Verdict:
    """Return the verdict on scores; those of a category that no rule names are flagged, and block nowhere."""
    level = getattr(rules.presets, preset)
    ordered = {category: scores[category] for category in sorted(scores) if scores[category] > 0}
    flagged = any(score >= level.flag for score in ordered.values())
    blocked = any(score >= level.block and place in rules.blocks.get(name, ()) for name, score in ordered.items())
    return Verdict(ordered, fired, flagged, blocked)
