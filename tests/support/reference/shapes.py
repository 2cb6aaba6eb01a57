"""JSON Schemas in words: what a value may be, for a person. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from reference.markdown import anchor

Schema = Mapping[str, Any]
EXACT = 2**53 - 1
"""The largest integer that every JSON reader holds exactly; as an upper bound it goes without saying."""
LATEST_TS = 253_402_300_800
_NAMES = {"integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}


def shape(schema: Schema) -> str:
    """What a value may be, with its bounds.

    >>> shape({"type": "integer", "minimum": 1, "maximum": 5})
    'integer, 1 to 5'
    >>> shape({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]})
    'text, at most 9 characters; or null'
    """
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _either([shape(option) for option in schema[several]])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    known = _SHAPES.get(str(schema.get("type")))
    return known(schema) if known else "any JSON value"


def _either(options: list[str]) -> str:
    last = options.pop()
    separator = "; or " if last == "null" and any("," in option for option in options) else " or "
    return separator.join([" or ".join(options), last])


def _number(schema: Schema) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if highest == EXACT:
        highest = None
    below = schema.get("exclusiveMaximum")
    if below == LATEST_TS:
        below = None
    name = _NAMES[schema["type"]]
    if lowest is not None and lowest == highest:
        return f"`{lowest:g}`"
    bounds = _range(lowest, highest, "")
    if "exclusiveMinimum" in schema:
        bounds = f"above {schema['exclusiveMinimum']:g}" + (f", at most {highest:g}" if highest is not None else "")
    if below is not None:
        bounds += f", below {below:g}"
    return f"{name}, {bounds}" if bounds else name


def _range(lowest: float | None, highest: float | None, unit: str) -> str:
    if lowest is not None and highest is not None:
        return f"{lowest:g}{unit}" if lowest == highest else f"{_plain(lowest)} to {_plain(highest)}{unit}"
    if lowest is not None:
        return f"{_plain(lowest)}{unit} or more"
    return f"at most {_plain(highest)}{unit}" if highest is not None else ""


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _text(schema: Schema) -> str:
    pattern = schema.get("pattern", "")
    if schema.get("format") == "path":
        return "path"
    if schema.get("format") == "password":
        return "secret text"
    if pattern.startswith("^[0-9a-f]{"):
        return f"text of {pattern[10:-2]} hexadecimal digits"
    bounds = _range(schema.get("minLength"), schema.get("maxLength"), " characters")
    bounds = "not empty" if bounds == "1 characters or more" else bounds
    parts = ["text", *([bounds] if bounds else []), *([f"matching `{pattern}`"] if pattern else [])]
    return ", ".join(parts)


def _list(schema: Schema) -> str:
    """As `list of text`; what holds a comma of its own, links apart, is put into parentheses."""
    inner = shape(schema.get("items") or {})
    inner = f"({inner})" if "," in inner or " or " in inner else inner
    bounds = _range(schema.get("minItems"), schema.get("maxItems"), " items")
    kind = "list" if inner == "any JSON value" else f"list of {inner}"
    return f"{kind}, {bounds}" if bounds else kind


def _object(schema: Schema) -> str:
    values = schema.get("additionalProperties")
    return f"object of {shape(values)}" if isinstance(values, dict) and values else "object"


_SHAPES: dict[str, Callable[[Schema], str]] = {
    "integer": _number,
    "number": _number,
    "boolean": lambda schema: "true or false",
    "null": lambda schema: "null",
    "string": _text,
    "array": _list,
    "object": _object,
}
