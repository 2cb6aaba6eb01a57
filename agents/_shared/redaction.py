"""The one redactor: what of text and JSON may leave in summaries, headers, errors, logs and audits (rules, section 4).

Two ways to find what must not be shown: the name that it has (`redacted_keys` of the policy, however the name is
written) and its own shape (endocrine.agents._shared.shapes). Neither is complete:
what people wrote goes nowhere that does not need it.
docs/redaction.md has both measured. Pure and linear in the length of the text.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from endocrine.agents._shared.arguments import read_arguments, read_json, read_text
from endocrine.agents._shared.normalise import normalise
from endocrine.agents._shared.shapes import Finder, finder, named_finder

REDACTED = "[redacted]"
ALSO = ("passwd", "pwd", "passphrase", "credential", "cookie")
"""Words in names that are redacted whatever a policy lists."""
WHOLE = frozenset({"pass", "pw"})
"""Names that are redacted where they are nothing else: parts of too many words."""
KEYS = ("key", "token", "authorization", "email", "phone", "pii", "password", "secret")
"""Names that are redacted where no policy is at hand: in logs, and in errors of the tools around the agents."""
_NAMES = ("name", "key", "header", "field", "param", "Name", "Key")
_VALUES = frozenset({"value", "values", "val", "Value"})
"""A name and its value as two members of one object, as records of HTTP have headers."""
DEPTH = 32
_ELLIPSIS = "…"
_LEAST_NUMBER, _MOST_NUMBER = 10**11, 10**19
"""Whole numbers that may be a card's."""


class Redaction(Protocol):
    """What of a policy the redactor needs; `GatingRules` has it."""

    @property
    def redacted_keys(self) -> Sequence[str]:
        """Words in names."""
        ...

    @property
    def arguments_depth(self) -> int:
        """Levels of objects and lists."""
        ...

    @property
    def summary_chars(self) -> int:
        """Characters of a summary, at most."""
        ...


def redact(value: Any, rules: Redaction) -> Any:
    """Return a copy of a JSON value without what must not be shown.

    Replaced by `[redacted]`, at any depth, in strings that are JSON themselves too: the value of every key whose name
    contains one of `rules.redacted_keys` or of `ALSO`; keys, tokens, credentials, private keys, e-mail
    addresses, telephone, card and account numbers in texts and names; parameters of web addresses whose name contains
    one of the words. Whatever lies deeper than `rules.arguments_depth` is replaced whole.
    """
    return _redact(value, _words(tuple(rules.redacted_keys)), rules.arguments_depth, values=True)


def redact_names(value: Any, rules: Redaction) -> Any:
    """Return the same by names alone: for content that goes where it is meant to go, such as a page that a model asked
    for."""
    return _redact(value, _words(tuple(rules.redacted_keys)), rules.arguments_depth, values=False)


def redact_text(text: str, keys: tuple[str, ...] = KEYS) -> str:
    """Return a text without what must not be shown.

    >>> redact_text("curl -H 'Authorization: Bearer s3cr3t' https://ann:pw@example.org/?q=1&api_key=2")
    "curl -H 'Authorization: [redacted]' https://[redacted]@example.org/?q=1&api_key=[redacted]"
    """
    return _text(text, _words(keys), DEPTH, values=True)


def summarise(arguments: Mapping[str, Any] | str, rules: Redaction) -> str:
    """Return one line about a call's arguments: redacted JSON of at most `rules.summary_chars` characters.

    Arguments that are no valid JSON object are described, not shown: what cannot be read cannot be redacted.
    """
    value = read_arguments(arguments, rules.arguments_depth)
    if value is None:
        return f"[not a JSON object: {len(arguments)} {'characters' if isinstance(arguments, str) else 'entries'}]"
    text = _compact(redact(value, rules))
    return text if len(text) <= rules.summary_chars else text[: rules.summary_chars - len(_ELLIPSIS)] + _ELLIPSIS


def hides(name: str, keys: Sequence[str]) -> bool:
    """Return whether the value of this name is never shown: compared without case, marks, invisible characters,
    separators.

    >>> hides("e-mail", ("email",)), hides("Pass\u00adword", ("password",)), hides("query", ("key",))
    (True, True, False)
    """
    return _name(name, _words(tuple(keys)), False)[1]


def _redact(value: Any, words: tuple[str, ...], depth: int, *, values: bool) -> Any:
    if isinstance(value, str):
        return _text(value, words, depth, values=values)
    if isinstance(value, Mapping):
        return _object(value, words, depth - 1, values=values) if depth > 0 else REDACTED
    if isinstance(value, (list, tuple)):
        return _list(value, words, depth - 1, values=values) if depth > 0 else REDACTED
    if values and isinstance(value, int) and _LEAST_NUMBER <= abs(value) <= _MOST_NUMBER:
        return REDACTED if finder(("number",)).finds(str(abs(value))) else value
    return value


def _object(value: Mapping[str, Any], words: tuple[str, ...], depth: int, *, values: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, inner in value.items():
        shown_name, hidden = _name(name, words, values)
        count = 1
        while shown_name in shown:  # two names that become one: no entry is lost
            count += 1
            shown_name = f"{REDACTED} {count}"
        shown[shown_name] = REDACTED if hidden else _redact(inner, words, depth, values=values)
    named = next((value[name] for name in _NAMES if isinstance(value.get(name), str)), None)
    if values and named is not None and _name(named, words, False)[1]:
        return {name: REDACTED if name in _VALUES else inner for name, inner in shown.items()}
    return shown


def _list(items: Sequence[Any], words: tuple[str, ...], depth: int, *, values: bool) -> list[Any]:
    """A list; an option and its value may be two members of it: `["curl", "-u", "ann:hunter2"]`."""
    shown: list[Any] = []
    before = ""
    if values and len(items) == 2 and isinstance(items[0], str) and _is_hidden_name(items[0], words):
        return [items[0], REDACTED]
    if len(items) > 1 and values and all(isinstance(item, str) for item in items):
        items = _command(items)
    for item in items:
        if isinstance(item, str) and before.startswith("-"):
            both = _spans(f"{before} {item}", named_finder(words, shapes=values))
            shown.append(both.removeprefix(f"{before} ") if both.startswith(f"{before} ") else REDACTED)
        else:
            shown.append(_redact(item, words, depth, values=values))
        before = item if isinstance(item, str) else ""
    return shown


def _command(items: Sequence[str]) -> list[str]:
    """The words of a command without passwords that only the program before them says are some: `mysql -phunter2`."""
    found, at = finder(("credential",)).finds(" ".join(items)), 0
    shown: list[str] = []
    for item in items:
        end = at + len(item)
        inside = [find for find in found if find.shape.name == "program_password" and at <= find.start < end]
        shown.append(item[: inside[0].start - at] + REDACTED if inside else item)
        at = end + 1
    return shown


def _text(text: str, words: tuple[str, ...], depth: int, *, values: bool) -> str:
    first = text.lstrip()[:1]
    if first in ("{", "["):
        nested = read_json(text, DEPTH)
        if nested is not None:
            return _compact(_redact(nested, words, depth, values=values))
    elif first == '"' and depth > 0 and (inner := read_text(text)) is not None:
        return _compact(_text(inner, words, depth - 1, values=values))
    return _spans(text, named_finder(words, shapes=values))


def _spans(text: str, finder: Finder) -> str:
    """The text with every find replaced; finds that meet become one."""
    shown = _replaced(text, finder)
    if shown.isascii():
        return shown
    plain = normalise(
        shown
    )  # what is found only when invisible and look-alike characters are gone is hidden on purpose
    return _replaced(plain, finder) if finder.finds(plain.replace(REDACTED, "")) else shown


def _replaced(text: str, finder: Finder) -> str:
    parts: list[str] = []
    shown = 0
    for find in finder.finds(text):
        if find.start < shown and find.shape.kind == "contact":
            continue  # what looks like an address behind a password: `user:password@host`
        if find.start >= shown:
            parts += [text[shown : find.start], REDACTED]
        shown = max(shown, find.end)
    return "".join([*parts, text[shown:]])


@lru_cache(maxsize=1 << 12)
def _name(name: str, words: tuple[str, ...], values: bool) -> tuple[str, bool]:
    """A name as it is shown, and whether its value is not."""
    plain = _letters(name)
    shown = _spans(name, named_finder(words, shapes=True)) if values else name
    return shown, plain in WHOLE or any(word in plain for word in words)


def _is_hidden_name(text: str, words: tuple[str, ...]) -> bool:
    return " " not in text and not text.startswith("-") and _name(text, words, False)[1]


@lru_cache(maxsize=64)
def _words(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in dict.fromkeys(_letters(key) for key in (*keys, *ALSO)) if word)


def _letters(name: str) -> str:
    return "".join(c for c in normalise(name).casefold() if c.isalnum())


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")
