"""What an answer says that may be worth remembering: rules over its lines, no model (memory, section 5). Pure, so that
a preview is the same as what is extracted."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from endocrine.agents._shared import linear
from endocrine.agents.memory.rules import ExtractionRule, ExtractionRules

EXTRACTOR = "extractor-1"
"""Who extracted, in `by`. It goes up with any change of this module that gives other candidates by the same rules."""
_HEADING = re.compile(r"#{1,6}[ \t]+(.*)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NAMED = re.compile(r"([a-z0-9][a-z0-9_.-]{0,63}):\s+\S")
_END = re.compile(r"[.!?] ")
_FINAL = ".!?"


class Extracted(NamedTuple):
    """One find."""

    rule: str
    type: str
    content: str
    slot: str | None


def extract(text: str, rules: ExtractionRules) -> list[Extracted]:
    """Return what is found in an answer, in its order: the first match of each line, fenced code left out."""
    found = (_first(line, rules) for line in _lines(text))
    return [one for one in found if one is not None]


def belongs(type_: str, *, project: bool, other: bool, rules: ExtractionRules) -> bool:
    """Return whether a find is the subject's. project: the subject is one. other: the turn is captured under an
    identity and a project, so that personal types are the one's and all others the other's."""
    return not other or (type_ in rules.personal) is not project


def _lines(text: str) -> Iterator[str]:
    """The lines outside of fenced code, without white space around them."""
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
        elif found:
            fence = found[1]
        else:
            yield line.strip()


def _first(line: str, rules: ExtractionRules) -> Extracted | None:
    heading = _HEADING.fullmatch(line)
    where = "sentence" if heading is None else "heading"
    for part in _sentences(line) if heading is None else (heading[1].strip(),):
        for rule in rules.rules:
            if rule.where == where:
                found = _found(part, rule, rules)
                if found is not None:
                    return found
    return None


def _sentences(line: str) -> Iterator[str]:
    """What begins at the line's start or after `. `, up to the end of a sentence, without its final punctuation."""
    start: int | None = 0
    for end in _END.finditer(line):
        if start is not None:
            yield line[start : end.start()].strip().rstrip(_FINAL)
        start = end.end() if end[0] == ". " else None
    if start is not None:
        yield line[start:].strip().rstrip(_FINAL)


def _found(part: str, rule: ExtractionRule, rules: ExtractionRules) -> Extracted | None:
    content = (linear.captured(rule.pattern, part) or "").strip()
    if not rules.least_chars <= len(content) <= rules.most_chars:
        return None
    named = _NAMED.match(content) if rule.slot else None
    return Extracted(rule.name, rule.type, content, None if named is None else named[1])
