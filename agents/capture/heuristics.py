"""What a prompt's wording says: plain counts of cues, the same answer every time (rules section 1, emitters)."""

from endocrine.agents.capture.patterns import plain_words, shouted, words_of
from endocrine.agents.capture.rules import Cue, HeuristicRules

DECIMALS = 2


def signals_of(prompt: str, rules: HeuristicRules) -> list[tuple[str, float]]:
    """Return signals read from a prompt: (name, level), level 0..1 with 2 decimals, in the order of the vocabulary.

    A signal below `rules.report_from` is left out: no signal and a signal at level 0 are not the same to a map.
    Never fails, whatever the text.
    """
    text = plain_words(prompt, rules.scan_chars)
    words = words_of(text)
    cues = {
        "ambiguity": rules.ambiguity,
        "urgency": rules.urgency,
        "novelty": rules.novelty,
        "trust": rules.trust,
    }
    levels = ((name, _level(text, words, its_cues)) for name, its_cues in cues.items())
    return [(name, level) for name, level in levels if level >= rules.report_from]


def _level(text: str, words: list[str], cues: tuple[Cue, ...]) -> float:
    total = sum(cue.weight * min(_count(cue, text, words), cue.at_most) for cue in cues)
    return round(min(1.0, max(0.0, total)), DECIMALS)


def _count(cue: Cue, text: str, words: list[str]) -> int:
    if cue.fewer_words_than is not None:
        return int(len(words) < cue.fewer_words_than)
    if cue.shouted_letters is not None:
        return shouted(words, cue.shouted_letters)
    return cue.counter(text)
