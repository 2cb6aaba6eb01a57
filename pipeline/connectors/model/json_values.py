"""Values of a provider's JSON, read strictly in shape and tolerantly in habit."""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.pipeline.connectors.model.failures import Malformed, TooLarge

_MOST = 2**53 - 1
_INT_DIGITS = 17
"""Of the largest integer that every reader keeps, and its sign."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")


def parsed(data: bytes | str) -> Any:
    """Return the JSON of a body or an event. Raises Malformed; TooLarge where it is nested deeper than the parser
    goes.
    """
    try:
        return json.loads(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise TooLarge("is nested too deep") from None
    except UnicodeDecodeError:
        raise Malformed("it is not UTF-8") from None
    except ValueError:
        raise Malformed("it is not JSON") from None


def clean(text: str) -> str:
    """Put halves of surrogate pairs together, as servers split an emoji over two deltas; replace lone ones.

    >>> clean("\\ud83d\\ude00") == "\\U0001f600"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def count(given: Any) -> int | None:
    """Return a count of tokens; None where a record cannot hold it."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _MOST else None


def mapping(given: Any) -> Mapping[str, Any]:
    """Return an optional object: anything else is as if it were not there."""
    return given if isinstance(given, Mapping) else {}


def objects(given: Any, what: str) -> list[Mapping[str, Any]]:
    """Return an optional list of objects. Raises Malformed where something else is in its place."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise Malformed(f"`{what}` is {kind(given)}, expected a list of objects")
    return given


def optional_text(given: Any, what: str) -> str:
    """Return a text, "" where it is null or absent. Raises Malformed."""
    if given is None:
        return ""
    if not isinstance(given, str):
        raise Malformed(f"`{what}` is {kind(given)}, expected a text")
    return given


def position(given: Any, what: str) -> int | None:
    """Return an index, None where there is none; some write it as a text or with a point. Raises Malformed."""
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < _INT_DIGITS:
        return int(given)
    if given is None or (found := count(given)) is not None:
        return None if given is None else found
    raise Malformed(f"`{what}` is {kind(given)}, expected a number")


def kind(given: Any) -> str:
    """Return the kind of a JSON value, in words."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list"}
    return "an object" if isinstance(given, Mapping) else names.get(type(given), "something else")


def model_name(given: Any) -> str | None:
    """Return a name of a model as a reply gives it, where it looks like one."""
    return given if isinstance(given, str) and _WORD.fullmatch(given) else None


def arguments_of(given: Any, depth: int) -> dict[str, Any] | str:
    """Return arguments of a call: an object, or the text where it is not one; nothing, null and an empty list are `{}`.

    A text in a text (arguments serialized twice) is read once more. What has no one meaning (a repeated key) or would
    not come out as it went in (an integer that no double holds) stays a text. Raises TooLarge beyond `depth` levels.
    """
    text = given if isinstance(given, str) else dumped(given)
    text = clean(text)
    try:
        found = orjson.loads(text) if text.strip() else None
        if isinstance(found, str):
            found = _object_in(found)
    except orjson.JSONDecodeError:
        # A text may also be nested deeper than this parser goes; whoever reads it next would have the same trouble.
        if _deep(text, depth):
            raise TooLarge(f"has arguments of more than {depth} levels (models.bounds.depth)") from None
        return text
    if found is None or found == []:
        return {}
    if not isinstance(found, dict):
        return text
    if _deep(text, depth):
        raise TooLarge(f"has arguments of more than {depth} levels (models.bounds.depth)")
    return found if _has_one_meaning(text) else text


def _has_one_meaning(text: str) -> bool:
    """Whether the text of an object, or a text in it, repeats no key and loses nothing of its integers."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_int=_exact)
        if isinstance(found, str):
            json.loads(found, object_pairs_hook=_once, parse_int=_exact)
    except (ValueError, RecursionError):
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _exact(digits: str) -> int:
    if len(digits) > _INT_DIGITS or abs(number := int(digits)) > _MOST:
        raise ValueError("an integer that readers round")
    return number


def dumped(given: Any) -> str:
    """Return the JSON text of a parsed value. Raises TooLarge."""
    try:
        return json.dumps(given, ensure_ascii=False)
    except RecursionError:
        raise TooLarge("is nested too deep") from None


def _object_in(text: str) -> Any:
    """The object that a text holds; any value but null where it holds none."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return found if isinstance(found, dict) else text


_OUTSIDE_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def _deep(text: str, depth: int) -> bool:
    """Whether brackets outside strings open more than `depth` levels."""
    level = 0
    for found in _OUTSIDE_STRINGS.finditer(text):
        mark = found[0]
        if mark in "[{":
            level += 1
            if level > depth:
                return True
        elif mark in "]}":
            level -= 1
    return False
