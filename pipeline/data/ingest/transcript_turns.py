"""The turns of a transcript while they are open: which entry belongs to which prompt, and what was answered.

Entries name their parent (`parentUuid`), so an answer is added to the prompt it goes back to, wherever it is in the
file. Only where no parent is known does it go to the prompt before it.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from endocrine.pipeline.data.ingest.model import Noted, Pieces, Turn

MAX_OPEN = 4096
"""Turns whose texts are kept for answers that may still come; beyond, the oldest is complete."""
REFUSED = -1
"""Owner of an entry that could not be read and may have been a prompt."""
ORPHAN = 0
"""Owner of an entry that goes back to no prompt."""


@dataclass(slots=True)
class OpenTurn:
    """A prompt and its answers so far."""

    where: str
    source_id: str
    session_id: str
    prompt: str
    opened_ts: float
    closed_ts: float
    model: str | None = None
    replies: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """The API's id of the message each reply is of, empty where it has no id."""

    def add(self, text: str, message_id: str) -> None:
        """Add an answer. One message comes in several entries; what it repeats of itself is there once."""
        for index, earlier in enumerate(self.replies):
            if message_id and self.messages[index] == message_id:
                if earlier == text:
                    return
                if text.startswith(earlier):
                    self.replies[index] = text
                    return
        self.replies.append(text)
        self.messages.append(message_id)

    def turn(self) -> Turn:
        """Return the turn as it is now."""
        response = "\n\n".join(self.replies)
        ends = (self.opened_ts, max(self.opened_ts, self.closed_ts))
        return Turn(self.where, self.source_id, self.session_id, self.prompt, response, *ends, self.model)


@dataclass(slots=True)
class Session:
    """What is known of one session at this point of the file."""

    id: str
    last_ts: float
    """Event time of the last entry that had one; seconds since 1970 UTC."""
    current: int = ORPHAN
    """The turn that an entry without a parent belongs to."""
    tip: bytes | None = None
    """The last entry of the conversation."""


class Turns:
    """The open turns of all sessions, by number from 1, and the owner of each entry."""

    def __init__(self) -> None:
        self.open: OrderedDict[int, OpenTurn] = OrderedDict()
        self._owners: dict[bytes, int] = {}
        self._count = 0

    def begin(self, turn: OpenTurn) -> tuple[int, Pieces]:
        """Open a turn; return its number and the turns that are complete by that."""
        self._count += 1
        self.open[self._count] = turn
        complete = []
        while len(self.open) > MAX_OPEN:
            complete.append(self.open.popitem(last=False)[1].turn())
        return self._count, iter(complete)

    def end(self) -> Pieces:
        """Complete all turns, in the order of their times: a queued message may be met late."""
        turns = sorted(self.open.values(), key=lambda turn: turn.opened_ts)
        self.open.clear()
        for turn in turns:
            yield turn.turn()

    def reply(self, number: int, text: str, ts: float, model: str | None, message_id: str) -> Noted | None:
        """Add an answer to a turn; return what is to be counted where there is no such turn."""
        turn = self.open.get(number)
        if turn is None:
            reasons = {REFUSED: "reply after a refused entry", ORPHAN: "reply without a prompt"}
            return Noted(reasons.get(number, "reply to a turn long past"))
        turn.add(text, message_id)
        turn.closed_ts = max(turn.closed_ts, ts)
        turn.model = turn.model or model
        return None

    def own(self, entry: bytes, number: int) -> None:
        """Note whose an entry is."""
        self._owners[entry] = number

    def owner(self, *entries: bytes) -> int | None:
        """Return whose the first known of the entries is; None where none is known."""
        return next((owner for entry in entries if (owner := self._owners.get(entry)) is not None), None)


def entry_key(session: str, uuid: str) -> bytes:
    """Return a short key of an entry; the session is empty for the entry wherever it is."""
    return hashlib.blake2b(f"{session}\0{uuid}".encode("utf-8", "surrogatepass"), digest_size=12).digest()
