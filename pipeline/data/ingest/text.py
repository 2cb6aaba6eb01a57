"""Format `text`: a pasted chat, each message under a heading "You said:" or "ChatGPT said:" on a line of its own.

Markdown marks around a heading do not matter (`##### You said:`, `**ChatGPT said:**`). The format has no times: the
first turn is taken to begin at `--start-ts`, the others `TURN_SECONDS` apart. Ids are a chain over the messages, so
that a chat pasted again with more at its end keeps the ids of its earlier turns.
"""

import hashlib
import re
from typing import BinaryIO

from endocrine.pipeline.data.ingest.lines import numbered_lines
from endocrine.pipeline.data.ingest.model import Noted, Options, Pieces, Refused, Turn

DEFAULT_START_TS = 1_735_689_600.0
"""2025-01-01T00:00:00Z, for a chat of unknown time."""
TURN_SECONDS = 60.0
ANSWER_SECONDS = 30.0
EXPECTED = 'a pasted chat with the headings "You said:" and "ChatGPT said:", each on a line of its own'
HEADING = re.compile(
    r"[\s\u200b-\u200f\u2060>#*_]{0,20}(you|chatgpt(?:\s[\w.-]{1,20})?)\ssaid[\s\u200b-\u200f\u2060*_:]{0,20}",
    re.IGNORECASE,
)
"""With the invisible characters and the no-break spaces that copying from a page brings along."""


class _Chat:
    """The turn being read and the chain of ids."""

    def __init__(self, name: str, start_ts: float) -> None:
        self.name, self.start_ts = name, start_ts
        self.session, self.chain, self.count = "", f"{start_ts}", 0
        self.begin(None)

    def begin(self, where: str | None) -> None:
        """Begin a turn, as a prompt's heading was met (None: no turn yet)."""
        self.where, self.broken = where, False
        self.prompt: list[str] = []
        self.response: list[str] = []

    def end(self) -> Pieces:
        """End the turn: yield it."""
        if self.where is None:
            return
        prompt, response = ("\n".join(lines).strip() for lines in (self.prompt, self.response))
        self.chain = hashlib.sha256("\0".join((self.chain, prompt, response)).encode()).hexdigest()
        self.session = self.session or f"text-{self.chain[:24]}"
        at = self.start_ts + TURN_SECONDS * self.count
        self.count += 1
        if not self.broken:
            yield Turn(self.where, self.chain, self.session, prompt, response, at, at + ANSWER_SECONDS)


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """Return the chat's turns. A line that is not UTF-8 costs its turn."""
    chat = _Chat(name, options.start_ts)
    section: list[str] | None = None
    headings, anything = 0, False
    for item in numbered_lines(stream, name):
        if isinstance(item, Refused):
            yield item
            chat.broken = anything = True
            continue
        number, line = item
        heading = HEADING.fullmatch(line)
        if heading is None:
            if section is not None:
                section.append(line)
            anything = anything or bool(line.strip())
            continue
        headings += 1
        if heading[1].lower() == "you":
            yield from chat.end()
            chat.begin(f"{name}:{number}")
            section = chat.prompt
        elif chat.where is None:
            yield Noted("reply without a prompt")
            section = None
        else:
            section = chat.response
    yield from chat.end()
    if anything and not headings:
        expected = 'the headings "You said:" and "ChatGPT said:", each on a line of its own'
        yield Refused(name, f"no message found; expected {expected}")
