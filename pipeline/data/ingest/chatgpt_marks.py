"""Marks that ChatGPT puts into its answers for its own page: citations, link lists, names with a card behind them.

The page shows a mark as a small link or as nothing; an export holds it as private-use characters around an
instruction: U+E200, a name, fields after U+E202, U+E201.
"""

import re

import orjson

_MARK = re.compile("[ \t]*\ue200([^\ue201]*)\ue201")
_OPEN = re.compile("[ \t]*\ue200[a-z_]+(?:\ue202[\\w.,:-]*)*\\Z")
"""A mark at the end that was cut off before its closing character."""
_STRAY = re.compile("[\ue200-\ue20f]")
_SOURCE = re.compile(
    "[ \t]*(?:\u3010(?:\\d+(?::\\d+)?\u2020[^\u3011\n]*|oaicite:\\d+|turn\\d+[a-z]+\\d+(?:\u2020[^\u3011\n]*)?)\u3011)"
    "|[ \t]*:contentReference\\[oaicite:\\d+\\](?:\\{[^{}\n]*\\})?"
)
"""Older forms of a citation: in lenticular brackets, or as a directive that a page replaces."""
_SPACE = re.compile("^[ \t]*")


def as_seen(text: str) -> str:
    """Return an answer as its reader saw it: without marks, but with the text that a mark shows.

    >>> as_seen("Use sorted. \\ue200cite\\ue202turn0search3\\ue201")
    'Use sorted.'
    >>> as_seen('In \\ue200entity\\ue202["city","Rome"]\\ue201.')
    'In Rome.'
    """
    if "\ue200" in text or _STRAY.search(text):
        text = _STRAY.sub("", _OPEN.sub("", _MARK.sub(_shown, text)))
    return _SOURCE.sub("", text) if "\u3010" in text or "oaicite" in text else text


def _shown(mark: re.Match[str]) -> str:
    name, *fields = mark[1].split("\ue202")
    space = _SPACE.match(mark[0])
    before = space[0] if space else ""
    if name in ("entity", "product_entity") and fields:
        try:
            described = orjson.loads(fields[0])
        except orjson.JSONDecodeError:
            return ""
        shown = described[1] if isinstance(described, list) and len(described) > 1 else None
        return before + shown if isinstance(shown, str) else ""
    return before + fields[0] if name in ("url", "link_title") and fields else ""
