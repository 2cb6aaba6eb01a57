"""What libraries write into JSON Schemas, in the words of draft 2020-12 and for an engine that runs in linear time.

| written by | what | becomes |
|---|---|---|
| zod-to-json-schema, draft 7 | `items` as a list, `additionalItems` | `prefixItems`, `items` |
| generators for OpenAPI 3.0, draft 4 | `exclusiveMinimum: true` beside `minimum` | `exclusiveMinimum` with the number |
| zod 4 (`z.email()`) | a pattern with lookahead beside a format | the format alone, which is checked |
| JavaScript | `\\u4e00` in a pattern | the character |
"""

import re
from collections.abc import Mapping
from typing import Any

from endocrine.agents._shared import linear
from endocrine.agents.gating.formats import FORMATS

_ESCAPE = re.compile(r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
                     r"|u(?P<one>[0-9a-fA-F]{4})|.)", re.DOTALL)  # fmt: skip
_EXCLUSIVE = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def rewritten(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return one level of a schema with the words of older drafts replaced.

    What it forbids stays forbidden, but for what only a pattern forbids that cannot be run: there its format decides.

    >>> rewritten({"items": [{"type": "string"}], "additionalItems": False})
    {'prefixItems': [{'type': 'string'}], 'items': False}
    >>> rewritten({"minimum": 0, "exclusiveMinimum": True})
    {'exclusiveMinimum': 0}
    """
    found = dict(schema)
    if isinstance(found.get("items"), list) and "prefixItems" not in found:
        found["prefixItems"] = found.pop("items")
        if "additionalItems" in found:
            found["items"] = found.pop("additionalItems")
    for exclusive, bound in _EXCLUSIVE:
        if found.get(exclusive) is True and bound in found:
            found[exclusive] = found.pop(bound)
        elif found.get(exclusive) is False:
            del found[exclusive]
    if isinstance(found.get("pattern"), str):
        found["pattern"] = pattern(found["pattern"])
        if found.get("format") in FORMATS and linear.fault(found["pattern"]) is not None:
            del found["pattern"]
    if isinstance(found.get("patternProperties"), Mapping):
        found["patternProperties"] = {pattern(name): part for name, part in found["patternProperties"].items()}
    return found


def pattern(given: str) -> str:
    r"""Return a pattern without JavaScript's `\u`: characters themselves, which every engine reads alike.

    >>> pattern(r"^[\u4e00-\u9fa5]\\u0041\u002d$")
    '^[一-龥]\\\\u0041\\-$'
    """
    return _ESCAPE.sub(_character, given)


def _character(escape: re.Match[str]) -> str:
    if escape["high"] is not None:
        char = bytes.fromhex(escape["high"] + escape["low"]).decode("utf-16-be")
    elif escape["one"] is not None:
        char = chr(int(escape["one"], 16))
    else:
        return escape[0]
    if "\ud800" <= char <= "\udfff":
        return escape[0]
    if char.isalnum() or not char.isascii():
        return char
    return "\\" + char if char.isprintable() and char != " " else f"\\x{ord(char):02x}"
