"""The window of `windowed` streaming: text goes out once the rules have seen what may follow it.

The promise. Rules name their longest span in characters, invisible ones counted; `span` is the longest of these. Of a
text that such a rule blocks, where what it looks for lies within `span` characters, not one character of that leaves.
What a rule finds over a longer stretch, and what a rule without a span finds, is judged at the end, when earlier text
has left. `windowed` is the weaker setting: `buffered` judges the whole text before any of it leaves.

A text is judged in pieces with their surroundings. At the edge of a piece a word, or what makes a phrase harmless, may
be cut off: what seems to be blocked is judged again with `span` more characters, or at the end, before it counts. Not
a character leaves meanwhile.
"""

from collections.abc import Callable

from endocrine.agents.moderation.rules import MAX_SPAN

STRIDE = 48
"""Characters between two judgements; more make it cheaper and coarser."""
_WORD_CHARS = 64
"""How far back the beginning of a word is looked for."""


class Window:
    """Text in, text out. After `blocked` nothing goes out any more.

    blocks, blocks_piece: whether the rules block a whole text, and those with a span a piece of one; pure.
    span: 1 to MAX_SPAN characters.
    """

    def __init__(
        self, blocks: Callable[[str], bool], blocks_piece: Callable[[str], bool], span: int, stride: int = STRIDE
    ) -> None:
        if not 1 <= span <= MAX_SPAN:
            raise ValueError(f"span {span}: expected 1 to {MAX_SPAN} characters")
        self._blocks, self._blocks_piece, self._span, self._stride = blocks, blocks_piece, span, stride
        self._text = ""
        self._parts: list[str] = []
        self._judged = 0
        self._doubtful_from: int | None = None
        self.released = 0
        """Characters that went out."""
        self.blocked = False

    @property
    def text(self) -> str:
        """Everything that was fed."""
        if self._parts:
            self._text += "".join(self._parts)
            self._parts.clear()
        return self._text

    def feed(self, text: str) -> str:
        """Take text in; return what may go out now, often nothing."""
        if self.blocked:
            return ""
        self._parts.append(text)
        fed = len(self._text) + sum(map(len, self._parts))
        if fed - self._judged < self._stride:
            return ""
        return self._judge(fed)

    def finish(self) -> str:
        """Return the rest, judged as the end of the whole text; nothing where the whole is blocked."""
        if self.blocked:
            return ""
        if self._blocks(self.text):
            self.blocked = True
            return ""
        return self._release(len(self.text))

    def _judge(self, fed: int) -> str:
        text = self.text
        doubt = self._doubtful_from
        if doubt is not None and fed < doubt + self._span:
            return ""
        first = self._word_start(max(0, self.released - self._span))
        self._judged = fed
        if self._blocks_piece(text[first:fed]):
            if doubt is not None:
                self.blocked = True
            else:
                self._doubtful_from = fed
            return ""
        self._doubtful_from = None
        return self._release(fed - self._span)

    def _release(self, end: int) -> str:
        if end <= self.released:
            return ""
        found = self.text[self.released : end]
        self.released = end
        return found

    def _word_start(self, at: int) -> int:
        """The beginning of the word at a place, or the place itself in a text without spaces."""
        text = self._text
        for start in range(at, max(0, at - _WORD_CHARS), -1):
            if text[start - 1].isspace():
                return start
        return at
