"""Format `claude-transcript`: the JSONL transcript of a coding assistant, of one session or several.

A user entry with text that somebody typed is a prompt; assistant text goes to the prompt that its parents lead back to.
What programs write in between (tool results, reminders, summaries, notices, sub-agents) is counted and leaves the turn
open. Entries that a resumed, compacted or branched session copies are met once.
"""

import hashlib
from collections import Counter
from collections.abc import Generator
from typing import Any, BinaryIO

from endocrine.pipeline.data.ingest.lines import objects
from endocrine.pipeline.data.ingest.model import Noted, Options, Piece, Pieces, Refused, Skipped
from endocrine.pipeline.data.ingest.recognise import TRANSCRIPT_TYPES
from endocrine.pipeline.data.ingest.transcript_queue import Queue, Queued
from endocrine.pipeline.data.ingest.transcript_text import (
    INTERRUPTION,
    NO_ANSWERS,
    Content,
    is_written_by_tool,
    read_content,
    typed,
    without_image_marks,
)
from endocrine.pipeline.data.ingest.transcript_turns import ORPHAN, REFUSED, OpenTurn, Session, Turns, entry_key
from endocrine.pipeline.data.ingest.values import object_or_empty, parse_time, text_or_none

EXPECTED = "one transcript entry per line, a JSON object with `type` (user, assistant, ...) and `message`"
NO_SESSION = "transcript"
SYNTHETIC = "<synthetic>"
"""The model named in what the assistant's program writes in the model's place."""
PERSONS = frozenset({None, "human", "user", "channel"})
"""`origin.kind` of user entries that a person wrote, here or in a chat that is joined to the session. Of any other kind
(hook, peer, coordinator, task-notification, auto-continuation, ...) they are a program's."""

Begun = Generator[Piece, None, int | None]
"""Yields pieces; returns the number of the turn that was begun, None where none was."""


def is_entry(value: Any) -> bool:
    """Return whether an object is a whole entry, and not a part of one that was torn."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    return "sessionId" in value or "session_id" in value or ("uuid" in value and "message" in value)


class Reader:
    """Reads transcripts one after the other; a session may go on in the next."""

    def __init__(self, options: Options) -> None:
        self._start_ts = options.start_ts
        self._sessions: dict[str, Session] = {}
        self._queues: dict[str, Queue] = {}
        self._turns = Turns()
        self._likes: Counter[tuple[str, str]] = Counter()
        self._seen: set[bytes] = set()

    def read(self, stream: BinaryIO, name: str) -> Pieces:
        """Yield the results of one file; turns stay open until `end`."""
        known = others = 0
        for item in objects(stream, name, "entry", EXPECTED, is_entry):
            if isinstance(item, Noted):
                yield item
            elif isinstance(item, Refused):
                yield item
                self._refuse_all()
            else:
                is_known = text_or_none(item[1].get("type")) in TRANSCRIPT_TYPES
                known, others = known + is_known, others + (not is_known)
                yield from self._entry(*item)
        if others and not known:
            yield Refused(name, f"holds {others} entries of kinds that no transcript has; expected {EXPECTED}")

    def end(self) -> Pieces:
        """Complete all turns. A queued message that no entry delivers is a prompt without an answer."""
        for session_id, queue in self._queues.items():
            for message in queue.waiting:
                yield from self._begin_queued(self._sessions[session_id], message)
        yield from self._turns.end()

    def _refuse_all(self) -> None:
        """An entry could not be read at all: in whichever session it was, it may have been a prompt."""
        for session in self._sessions.values():
            session.current = REFUSED

    def _entry(self, where: str, entry: dict[str, Any]) -> Pieces:
        kind = entry.get("type")
        if not isinstance(kind, str):
            yield Refused(where, f"has no `type`; expected {EXPECTED}")
            self._refuse_all()
            return
        forked = object_or_empty(entry.get("forkedFrom"))
        named = text_or_none(entry.get("sessionId")) or text_or_none(entry.get("session_id")) or NO_SESSION
        origin = text_or_none(forked.get("sessionId")) or named
        session = self._sessions.setdefault(origin, Session(origin, self._start_ts))
        own_uuid = text_or_none(entry.get("uuid"))
        uuid = text_or_none(forked.get("messageUuid")) or own_uuid
        if uuid is not None and self._is_copy(session, uuid, entry):
            yield Skipped("duplicate") if kind == "user" else Noted("duplicate entry")
            if forked and own_uuid is not None:
                self._own(named, own_uuid, self._turns.owner(entry_key(session.id, uuid)) or ORPHAN)
            return
        owner, parent_known = self._owner(session, entry)
        if kind == "queue-operation":
            yield from self._queue_operation(where, session, entry)
            return
        before = session.current
        number: int | None = None
        if entry.get("isSidechain") is True or text_or_none(entry.get("parent_tool_use_id")):
            yield Skipped("sidechain")
        elif kind == "attachment":
            number = yield from self._attachment(where, session, entry, uuid)
        elif kind not in ("user", "assistant"):
            yield Noted("other entry")
        elif any(entry.get(flag) is True for flag in ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")):
            yield Skipped("meta")
        elif kind == "assistant":
            yield from self._assistant(where, session, entry, owner)
        else:
            number = yield from self._user(where, session, entry, uuid)
        if number is None and parent_known and session.current == before == ORPHAN and owner > ORPHAN:
            session.current = owner
        if number == REFUSED:
            self._seen.discard(entry_key(session.id, uuid or ""))  # a copy of it may be whole
        if uuid is not None:
            self._own(session.id, uuid, owner if number is None else number)
            if forked and own_uuid is not None:
                self._own(named, own_uuid, owner if number is None else number)
            if entry.get("isSidechain") is not True:
                session.tip = entry_key(session.id, uuid)

    def _is_copy(self, session: Session, uuid: str, entry: dict[str, Any]) -> bool:
        """Say whether the entry was met before, in this session or, under its old id, in another."""
        here = entry_key(session.id, uuid)
        message = object_or_empty(entry.get("message")) or object_or_empty(entry.get("attachment"))
        content = message.get("content", message.get("prompt"))
        identified = f"{uuid}\0{entry.get('timestamp')}\0{entry.get('type')}\0{content!r}"
        anywhere = hashlib.blake2b(identified.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if here in self._seen:
            return True
        self._seen.add(here)
        if not message:
            return False
        if anywhere in self._seen:
            if (owner := self._turns.owner(entry_key("", uuid))) is not None:
                self._own(session.id, uuid, owner)
            return True
        self._seen.add(anywhere)
        return False

    def _owner(self, session: Session, entry: dict[str, Any]) -> tuple[int, bool]:
        """Return the turn an entry belongs to, and whether its parent says so."""
        for field in ("parentUuid", "logicalParentUuid"):
            if (parent := text_or_none(entry.get(field))) is not None:
                owner = self._turns.owner(entry_key(session.id, parent), entry_key("", parent))
                if owner is not None:
                    return owner, True
        return session.current, False

    def _own(self, session_id: str, uuid: str, number: int) -> None:
        self._turns.own(entry_key(session_id, uuid), number)
        self._turns.own(entry_key("", uuid), number)

    def _assistant(self, where: str, session: Session, entry: dict[str, Any], owner: int) -> Pieces:
        message = object_or_empty(entry.get("message"))
        content = read_content(where, message)
        yield from content.pieces
        model = message.get("model")
        texts = [text for text in content.texts if text.strip() not in NO_ANSWERS]
        if model == SYNTHETIC or entry.get("isApiErrorMessage") is True or (content.texts and not texts):
            yield Noted("synthetic message")
        elif texts:
            ts = yield from self._time(session, entry)
            text = "\n\n".join(texts)
            model_name = model if isinstance(model, str) and model[:1] != "<" else None
            noted = self._turns.reply(owner, text, ts, model_name, text_or_none(message.get("id")) or "")
            if noted is not None:
                yield noted

    def _user(self, where: str, session: Session, entry: dict[str, Any], uuid: str | None) -> Begun:
        content = read_content(where, object_or_empty(entry.get("message")))
        yield from content.pieces
        if not content.readable:
            session.current = REFUSED
            return REFUSED
        return (yield from self._typed(where, session, entry, content, uuid))

    def _attachment(self, where: str, session: Session, entry: dict[str, Any], uuid: str | None) -> Begun:
        attachment = object_or_empty(entry.get("attachment"))
        if attachment.get("type") != "queued_command":
            yield Noted("attachment")
            return None
        content = read_content(where, {"content": attachment.get("prompt")})
        yield from content.pieces
        if not content.readable:
            session.current = REFUSED
            return REFUSED
        if attachment.get("commandMode", "prompt") != "prompt":
            yield Skipped("meta")
            return None
        marked = {"origin": attachment.get("origin"), "timestamp": entry.get("timestamp")}
        tip = session.tip
        number = yield from self._typed(where, session, marked, content, uuid)
        if number is not None:
            # The answers that follow may name the entry before the attachment as their parent.
            if tip is not None:
                self._turns.own(tip, number)
            if (parent := text_or_none(entry.get("parentUuid"))) is not None:
                self._own(session.id, parent, number)
        return number

    def _typed(self, where: str, session: Session, entry: dict[str, Any], content: Content, uuid: str | None) -> Begun:
        """Begin a turn with what was typed; None where nothing was."""
        text, left_out = typed(content.texts)
        yield from [Noted("context block")] * left_out
        origin = text_or_none(object_or_empty(entry.get("origin")).get("kind"))
        if not text and not content.shown:
            if any(isinstance(piece, Refused) for piece in content.pieces):
                session.current = REFUSED
                return REFUSED
            if content.texts:
                yield Skipped("meta")
            elif not content.has_result and not content.pieces:
                yield Noted("empty entry")
            return None
        if not text and content.has_result:
            return None
        if text.startswith(INTERRUPTION):
            yield Skipped("interruption")
            return None
        if is_written_by_tool(text) or origin not in PERSONS or entry.get("isSynthetic") is True:
            yield Skipped("meta")
            return None
        ts = yield from self._time(session, entry)
        source_id = self._source_id(session.id, entry, text, uuid)
        prompt = without_image_marks(text) if content.shown else text
        queue = self._queues.get(session.id)
        numbers = [m.number for m in queue.delivered(text.strip())] if queue is not None else []
        begun = [number for number in numbers if number is not None and number in self._turns.open]
        if begun:
            for number in begun[1:]:
                del self._turns.open[number]  # several were sent as one
            turn = self._turns.open[begun[0]]
            turn.where, turn.source_id, turn.prompt, turn.opened_ts = where, source_id, prompt, ts
            session.current = begun[0]
            return begun[0]
        return (yield from self._begin(session, OpenTurn(where, source_id, session.id, prompt, ts, ts)))

    def _begin(self, session: Session, turn: OpenTurn) -> Begun:
        number, complete = self._turns.begin(turn)
        yield from complete
        session.current = number
        return number

    def _queue_operation(self, where: str, session: Session, entry: dict[str, Any]) -> Pieces:
        yield Noted("queue operation")
        queue = self._queues.setdefault(session.id, Queue())
        content = read_content(where, entry)
        text = typed(content.texts)[0].strip() if content.texts else None
        operation = entry.get("operation")
        if operation == "enqueue":
            if text and not text.startswith("<") and not is_written_by_tool(text):
                queue.enqueue(Queued(where, text, parse_time(entry.get("timestamp"))))
        elif operation == "popAll":
            yield from [Skipped("withdrawn")] * queue.withdraw()
        elif operation in ("dequeue", "remove") and (message := queue.take_off(text)) is not None:
            before = session.current
            yield from self._begin_queued(session, message)
            if operation == "dequeue":
                session.current = before  # its own entry follows
            elif session.tip is not None and message.number is not None:
                self._turns.own(session.tip, message.number)

    def _begin_queued(self, session: Session, message: Queued) -> Pieces:
        entry = {"timestamp": message.ts}
        ts = yield from self._time(session, entry)
        source_id = self._source_id(session.id, entry, message.text, None)
        turn = OpenTurn(message.where, source_id, session.id, message.text, ts, ts)
        message.number = yield from self._begin(session, turn)

    def _time(self, session: Session, entry: dict[str, Any]) -> Generator[Piece, None, float]:
        ts = parse_time(entry.get("timestamp"))
        if ts is None:
            yield Noted("time missing")
        else:
            session.last_ts = ts
        return session.last_ts

    def _source_id(self, session: str, entry: dict[str, Any], text: str, uuid: str | None) -> str:
        """Return the entry's own id; without one, its content and the number of its like before it."""
        if uuid is not None:
            return f"{session}\0{uuid}"
        likeness = (session, f"{entry.get('timestamp')}\0{text}")
        self._likes[likeness] += 1
        return "\0".join((*likeness, str(self._likes[likeness])))
