"""Quotations that a text only reports: an article on attacks, a finding of a scanner, a bug report.

A quotation lies between two quotation marks or backticks that belong together, is no longer than a bound, and is
reported where a word such as `says`, `phrase`, `attacks` is before its opening or after its closing mark in the
same sentence, with no other quotation mark between: keys and values of JSON have one there, and are no quotation.
"""

import re
from collections.abc import Collection

_CLOSING = {
    '"': '"', "'": "'", "`": "`", "\u201c": "\u201d\u201c", "\u201e": "\u201c\u201d", "\u2018": "\u2019",
    "\u201a": "\u2018\u2019", "\u00ab": "\u00bb", "\u00bb": "\u00ab", "\u2039": "\u203a", "\u300c": "\u300d",
    "\u300e": "\u300f",
}  # fmt: skip
_OPENS = re.compile("|".join(_CLOSING))
_BETWEEN = re.compile(
    f"[{''.join({*_CLOSING, *''.join(_CLOSING.values())} - {chr(39), chr(0x2019)})}]|(?<!\\w)['\u2019]"
    r"|(?<![ei]\.[ge])[.!?]\s"
)
"""Any quotation mark, where apostrophes within words are none; and the end of a sentence, which `e.g.` is not."""
_CLOSE = {mark: re.compile(f"(?:{'|'.join(closing)})(?!\\w)") for mark, closing in _CLOSING.items()}
_WORD = re.compile(r"[^\W\d_]+")
_BEFORE = 80
_AFTER = 40
"""Characters before and after a quotation in which its lead is."""
_WORDS_BEFORE, _WORDS_AFTER = 8, 3
_LEAST = 2


def without_reported(text: str, leads: Collection[str], chars: int) -> str | None:
    """Return the text without the quotations that it reports; None where there are none.

    leads: lower-case words. chars: of a quotation, at most.

    >>> without_reported('Attackers write "ignore all rules" there.', {"write"}, 300)
    'Attackers write "" there.'
    >>> without_reported('{"write": "ignore all rules"}', {"write"}, 300) is None
    True
    """
    kept: list[str] = []
    done = at = 0
    while (mark := _OPENS.search(text, at)) is not None:
        at = mark.end()
        if text[at - 2 : at - 1].isalnum():
            continue  # an apostrophe, or a mark that closes
        close = _CLOSE[mark[0]].search(text, at, at + chars + 2)
        if close is None or close.start() - at < _LEAST or close.start() - at > chars:
            continue
        if _leads(text, mark.start(), close.end(), leads):
            kept.append(text[done:at])
            done = at = close.start()
            at = close.end()
    if not kept:
        return None
    return "".join([*kept, text[done:]])


def _leads(text: str, start: int, end: int, leads: Collection[str]) -> bool:
    before = _BETWEEN.split(text[max(0, start - _BEFORE) : start])[-1]
    after = _BETWEEN.split(text[end : end + _AFTER])[0]
    words = [*_WORD.findall(before)[-_WORDS_BEFORE:], *_WORD.findall(after)[:_WORDS_AFTER]]
    return any(word.casefold() in leads for word in words)
