"""Pairing prompts with replies where messages come in order: the replies up to the next prompt are one response."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from endocrine.pipeline.data.ingest.model import Noted, Pieces, Turn


@dataclass(slots=True)
class Dialogue:
    """One conversation, message by message, in order."""

    session_id: str
    last_ts: float
    """Event time of the last message that had one; what a message without takes. Seconds since 1970 UTC."""
    _open: Turn | None = None
    _replies: list[str] = field(default_factory=list)
    _documents: list[str] = field(default_factory=list)
    _deaf: bool = False
    """A prompt was refused: what answers it is left out instead of being taken for an answer to the one before."""

    def prompt(self, where: str, source_id: str, text: str, ts: float | None) -> Pieces:
        """Begin a turn with its prompt; the turn before it is complete."""
        yield from self.end()
        at = yield from self._time(ts)
        self._open = Turn(where, source_id, self.session_id, text, "", at, at)

    def reply(self, text: str, ts: float | None, model: str | None = None) -> Pieces:
        """Add a part of the response."""
        if self._open is None:
            yield Noted("reply after a refused entry" if self._deaf else "reply without a prompt")
            return
        at = yield from self._time(ts)
        self._replies.append(text)
        self._open = replace(
            self._open, closed_ts=max(at, self._open.closed_ts), model=self._open.model or model or None
        )

    def document(self, text: str, ts: float | None) -> None:
        """Add a document shown beside the chat; it is the response where the chat itself has no answer."""
        if self._open is not None:
            self._documents.append(text)
            self._open = replace(self._open, closed_ts=max(ts or 0.0, self._open.closed_ts))

    def refuse(self) -> Pieces:
        """Note a message that could not be read and may have been a prompt."""
        yield from self.end()
        self._deaf = True

    def end(self) -> Pieces:
        """Complete the open turn: nothing more comes."""
        if self._open is not None:
            yield replace(self._open, response="\n\n".join(self._replies or self._documents))
        self._open, self._replies, self._documents, self._deaf = None, [], [], False

    def _time(self, ts: float | None) -> Generator[Noted, None, float]:
        if ts is None:
            yield Noted("time missing")
        else:
            self.last_ts = ts
        return self.last_ts
