"""Text of a reply handed on while it comes (doors, section 2: `windowed`): only what is sure to be part of the answer.

What may turn out to be reasoning is held back: everything from an opening tag on, and an end that may be the beginning
of one. A text whose reasoning ends with a tag that nothing opened (the chat template of some servers) is known as such
only by then: ask such a model through a server that parses its reasoning, or not windowed.
"""

import re
from collections.abc import Awaitable, Callable

from endocrine.agents.conversation.reasoning import visible
from endocrine.pipeline.connectors.model.json_values import clean

_TAGGED = ("<", "[", "\u25c1")
_OPENS = re.compile(r"<(?:think|thinking|thought|reasoning|seed:think)>|\[THINK\]|\u25c1think\u25b7|<\|", re.IGNORECASE)
_LONGEST = 16
"""Characters that an end may have which is the beginning of a tag."""
_CHANNEL_BEGIN = "<|"


def sure_text(so_far: str) -> str:
    """Return the beginning of an answer that what comes later cannot turn into reasoning.

    >>> sure_text("It is 4."), sure_text("It is <thi"), sure_text("<think>Hm"), sure_text("<think>Hm</think>4")
    ('It is 4.', 'It is ', '', '4')
    """
    if not any(mark in so_far for mark in _TAGGED):
        return so_far
    shown = visible(so_far)[0]
    if shown.lstrip().startswith(_CHANNEL_BEGIN):
        return ""
    if (opened := _OPENS.search(shown)) is not None:
        shown = shown[: opened.start()]
    at = max(shown.rfind(mark, max(0, len(shown) - _LONGEST)) for mark in _TAGGED)
    return shown if at < 0 else shown[:at]


class Chunks:
    """Pieces of one reply. send: takes a number from 0 and a text; it returns when the piece is on record."""

    def __init__(self, send: Callable[[int, str], Awaitable[None]]) -> None:
        self._send = send
        self._sent = ""
        self._next = 0

    @property
    def begun(self) -> bool:
        """Whether a piece has left: then the reply cannot be asked for again."""
        return self._next > 0

    async def add(self, so_far: str) -> None:
        """Hand on what is sure of the answer so far."""
        await self._more(clean(sure_text(so_far)))

    async def end(self, content: str | None) -> None:
        """Hand on the rest of the whole answer; None: there is none."""
        await self._more(content or "")

    async def _more(self, text: str) -> None:
        if len(text) <= len(self._sent) or not text.startswith(self._sent):
            return  # a server that gives the text anew in the end may give it otherwise: the reply has the whole
        piece, self._sent = text[len(self._sent) :], text
        number, self._next = self._next, self._next + 1
        await self._send(number, piece)
