"""Regular expressions that take time linear in the text: RE2 (rules, section 4).

`$` is the end of the text, `\\d` is 0-9, `\\w` and `\\s` are ASCII. RE2 has no backreferences and no lookaround; what
it cannot run is found when a policy loads, by `fault`.
"""

from functools import lru_cache
from typing import Any

import re2

MAX_CHARS = 1000
"""Of a pattern; the time for a text grows with both."""
_MEMORY = 8 << 20
"""Bytes that one compiled pattern and its automaton may take. With less, ordinary patterns lose the automaton and take
fifty times as long."""


def fault(pattern: str) -> str | None:
    """Return why a pattern cannot be run, for a person; None where it can.

    >>> fault("^a+$"), fault(r"(a)\\1")
    (None, 'invalid escape sequence: \\\\1')
    """
    if len(pattern) > MAX_CHARS:
        return f"it has {len(pattern)} characters, expected at most {MAX_CHARS}"
    try:
        _compiled(pattern)
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    except re2.error as error:
        message = error.args[0]
        return message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return None


def found(pattern: str, text: str) -> bool:
    """Return whether a pattern without `fault` matches anywhere in the text."""
    return _compiled(pattern).search(_encodable(text)) is not None


def fits(pattern: str, text: str) -> bool:
    """Return whether a pattern without `fault` matches the whole text."""
    return _compiled(pattern).fullmatch(_encodable(text)) is not None


def groups(pattern: str) -> int:
    """Return the number of groups that a pattern without `fault` captures."""
    return int(_compiled(pattern).groups)


def captured(pattern: str, text: str) -> str | None:
    """Return what the first group of a pattern captures where it matches the whole text; None where it does not.

    >>> captured("we use (.+)", "we use tea"), captured("we use (.+)", "so we use tea")
    ('tea', None)
    """
    match = _compiled(pattern).fullmatch(_encodable(text))
    return None if match is None else match.group(1)


def work(pattern: str, text: str) -> int:
    """Return a measure of the longest time that a match may take: states of the pattern by characters."""
    return int(_compiled(pattern).programsize) * len(text)


def _encodable(text: str) -> str:
    """Half of a surrogate pair cannot be written as UTF-8: it counts as a question mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(pattern, options)
