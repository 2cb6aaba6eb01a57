"""What is wrong with a policy: every mistake with its place, its text, and what was expected."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

TEXT_SHOWN = 120
"""Characters of an offending text that are shown; longer ones are cut, so that one mistake stays one line."""


MISSING = "the key is missing"
"""What is wrong where a required field is not there."""


_EXPECTED = {
    "model_type": "keys with values",
    "dict_type": "keys with values",
    "list_type": "a list",
    "tuple_type": "a list",
}
"""What was expected by the kind of a fault, where pydantic names a type of Python."""
_SHOULD = re.compile(r"^(?:Input should be|[A-Z][a-z]+ should have) ")


class Mistake(NamedTuple):
    """One mistake."""

    path: tuple[str, ...]
    """Where in the document, such as ("maps", "stress", "temperature")."""
    text: str
    """The offending text, as `shown` gives it."""
    wrong: str
    expected: str

    def __str__(self) -> str:
        """`maps.stress.temperature: 'text': what is wrong, what is expected`, on one line."""
        place = ".".join(self.path) or "policy"
        return f"{place}: {self.text}: {self.wrong}, expected {self.expected}"


class PolicyError(Exception):
    """A policy that is refused whole; `mistakes` holds all of them."""

    def __init__(self, errors: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)


def shown(value: Any) -> str:
    """Return a value as text on one line, in quotes, cut where it is long.

    >>> shown("a\\nb"), shown(7)
    ("'a\\\\nb'", "'7'")
    """
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + "...")


def of_validation(section: str, error: ValidationError, value: Any) -> list[Mistake]:
    """Return what pydantic found in a section, as mistakes. `value` is the section as it was given."""
    details = error.errors(include_url=False)
    unknown = [detail["loc"][:-1] for detail in details if detail["loc"] and detail["loc"][-1] == "[key]"]
    return [
        _mistake(section, dict(detail), value)
        for detail in details
        if detail["loc"][-1:] == ("[key]",) or not any(detail["loc"][: len(loc)] == loc for loc in unknown)
    ]


def _mistake(section: str, detail: Mapping[str, Any], value: Any) -> Mistake:
    path = (section, *place(detail["loc"], value))
    kind, message, given = detail["type"], detail["msg"], detail["input"]
    if kind == "extra_forbidden":
        hint = "; a YAML key needs a colon and a space after it" if ":" in path[-1] else ""
        return Mistake(path, shown(path[-1]), "unknown key" + hint, "only the keys of the shipped file")
    if kind == "missing":
        return Mistake(path, shown(path[-1]), MISSING, "a value for it")
    if kind == "value_error":
        return Mistake(path, shown(given), message.removeprefix("Value error, "), "a section without contradictions")
    hint = ""
    if ":" in path[-1]:
        hint = "; a YAML key needs a colon and a space after it"
    elif isinstance(given, str) and ":" in given and kind in ("dict_type", "model_type", "literal_error"):
        hint = " (YAML wants a space after each colon)"
    wrong = f"unknown name{hint}" if "[key]" in detail["loc"] else f"not accepted{hint}"
    expected = _EXPECTED.get(kind) or _SHOULD.sub("", message).replace("\n", " ")
    return Mistake(path, shown(given), wrong, expected)


def place(loc: Sequence[int | str], value: Any) -> list[str]:
    """Return the place in the document: entries of `signals` go by their name, pydantic's own marks are left out."""
    place: list[str] = []
    for step in loc:
        if step == "[key]":
            continue
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            if isinstance(value, Mapping) and isinstance(value.get("name"), str):
                step = value["name"]
        elif not isinstance(step, int):
            continue
        place.append(str(step))
    return place
