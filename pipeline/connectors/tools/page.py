"""The text of a web page. Linear in its length, whatever it holds: pages are written by strangers.

A parser that builds a tree is no choice here: on two megabytes of nested elements a well-kept one took eight minutes.
This one looks at every character a bounded number of times; what is malformed may cost words, never time.
"""

import html
import re

_SKIPPED = {
    name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII)
    for name in ("script", "style", "noscript", "template", "svg", "head")
}
"""Elements whose content is no text of the page, and what ends them; one that never ends hides the rest."""
_INLINE = frozenset({"a", "abbr", "b", "cite", "code", "em", "font", "i", "mark", "q", "s", "small", "span", "strong",
                     "sub", "sup", "time", "u", "var", "wbr"})  # fmt: skip
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]{0,31})")
_NUMBERED = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]*)|0*([0-9]*));?")
_DIGITS = 7
"""Of a numbered character, without leading zeros: the last character that there is has seven, decimal."""
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_HIDDEN = {ord(c): None for c in "\u200b\u200c\u200d\u2060\ufeff\u00ad"} | dict.fromkeys(range(917504, 917632))
"""Characters that show nothing, in which instructions are hidden."""


def text_of(page: str) -> str:
    """Return the visible text, one block a line. Comments, scripts, styles and hidden characters are dropped.

    >>> text_of("<p>One <b>two</b><!-- x --><script>3</script></p><p>f&ouml;ur")
    'One two\\nföur'
    """
    parts: list[str] = []
    at = 0
    while (tag := page.find("<", at)) >= 0:
        parts.append(page[at:tag])
        if page.startswith("<!--", tag):
            end = page.find("-->", tag + 4)
            at = end + 3 if end >= 0 else len(page)
            continue
        name = _NAME.match(page, tag + 1)
        if name is None and page[tag + 1 : tag + 2] not in ("!", "?", "/"):
            parts.append("<")
            at = tag + 1
            continue
        end = page.find(">", tag + 1)
        if end < 0:
            return _tidy(parts)
        at = end + 1
        element = name.group(1).lower() if name else ""
        if element in _SKIPPED and page[tag + 1] != "/":
            close = _SKIPPED[element].search(page, at)
            at = close.start() if close else len(page)
        if element not in _INLINE:
            parts.append("\n")
    parts.append(page[at:])
    return _tidy(parts)


def _tidy(parts: list[str]) -> str:
    text = html.unescape(_NUMBERED.sub(_bounded, "".join(parts))).translate(_HIDDEN)
    text = text.encode("utf-8", "replace").decode("utf-8")
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _bounded(reference: re.Match[str]) -> str:
    """A numbered character without leading zeros, or U+FFFD: Python refuses to read a number of 4,300 digits and more.

    >>> text_of("&#0000065;&#x42;&#" + "9" * 5000 + ";&#;")
    'AB\ufffd&#;'
    """
    hexadecimal, decimal = reference.groups()
    digits = decimal if hexadecimal is None else hexadecimal
    if len(digits) > _DIGITS:
        return "\ufffd"
    if not digits:
        return reference.group() if len(reference.group()) < _DIGITS else "\ufffd"  # no number at all, or a zero
    return f"&#x{digits};" if decimal is None else f"&#{digits};"
