"""What became of one turn since somebody asked: the derived records of it, and who waits for them. Pure.

A `Watch` is registered before the record that causes the answer is produced, so that no answer is missed.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Json = dict[str, Any]
_OF_REQUESTS = ("request_id", "audit_id", "step", "model", "parameters", "dropped", "purpose", "ts")


class Overloaded(Exception):
    """As many requests wait as may; the caller should come again later."""


class ReceivedRecord(NamedTuple):
    """A derived record that arrived."""

    value: Json
    appended: float
    """When the broker appended it; seconds since 1970."""
    received: float
    """When it arrived here; seconds since 1970."""


class Refused(NamedTuple):
    """A record of ours that went to the dead letters."""

    record_id: str
    kind: str
    """Short name of the mistake."""
    message: str
    """What was wrong, without content."""


class Watch:
    """Everything that arrived of one turn (or, with audit_id None, of one identity) since it was registered.

    record_ids: ids of records produced for it, whose dead letters are of interest too. Read the fields at any time;
    `until` waits for a change that makes something true.
    """

    def __init__(self, identity: str, audit_id: str | None, record_ids: Collection[str] = ()) -> None:
        self.identity = identity
        self.audit_id = audit_id
        self.record_ids = {name.encode(): name for name in record_ids}
        self.asked: Json = {}
        """The record that was produced for it, where a retry is to be compared with it."""
        self.modulations: dict[int, ReceivedRecord] = {}
        """By revision."""
        self.decisions: dict[tuple[str, str | None], ReceivedRecord] = {}
        """The latest by call id and digest of the arguments; one that is final is never replaced by `pending`."""
        self.requests: dict[str, ReceivedRecord] = {}
        """What the model was asked for, by request id, without conversation and functions. There is one only of a turn
        that was admitted, and whose prompt was judged."""
        self.replies: dict[str, ReceivedRecord] = {}
        """Replies of the model by request id."""
        self.chunks: dict[str, dict[int, str]] = {}
        """Pieces of the model's text by request id and sequence number."""
        self.restarted: set[str] = set()
        """Request ids whose pieces began anew: a connector took over, and what came before is void."""
        self.closed: ReceivedRecord | None = None
        """How the conversation agent closed the turn."""
        self.refused: dict[str, Refused] = {}
        """Dead letters by record id."""
        self.outcomes: dict[str, list[ReceivedRecord]] = {}
        """Outcomes of our records that are commands, by their ids."""
        self._news = asyncio.Event()

    @property
    def revision(self) -> int | None:
        """The highest revision seen; None: no modulation was."""
        return max(self.modulations, default=None)

    @property
    def modulation(self) -> Json | None:
        """The modulation of the highest revision seen."""
        return None if self.revision is None else self.modulations[self.revision].value

    def decision(self, call_id: str, arguments_digest: str | None) -> ReceivedRecord | None:
        """Return the decision on a call with these arguments (`endocrine.pipeline.gateway.calls.digest_of`), pending
        or final.

        A call of the same id with other arguments is another one, whoever made it.
        """
        return self.decisions.get((call_id, arguments_digest))

    def apply(self, topic: str, value: Json, appended: float, received: float) -> None:
        """Take in a proved record of this turn. A copy does no harm."""
        seen = ReceivedRecord(value, appended, received)
        if topic == "modulations":
            self.modulations.setdefault(value["revision"], seen)
        elif topic == "tool-decisions":
            call = value["call_id"], value.get("arguments_digest")
            before = self.decisions.get(call)
            if before is None or before.value["decision"] == "pending":
                self.decisions[call] = seen
        elif topic == "model-requests":
            kept = {name: value[name] for name in _OF_REQUESTS if name in value}
            self.requests.setdefault(value["request_id"], ReceivedRecord(kept, appended, received))
        elif topic == "model-replies":
            self.replies.setdefault(value["request_id"], seen)
        elif topic == "model-chunks":
            chunks = self.chunks.setdefault(value["request_id"], {})
            if value["seq"] == 0 and 0 in chunks:
                self.restarted.add(value["request_id"])
            chunks.setdefault(value["seq"], value["text"])
        elif topic == "interactions" and value["kind"] == "closed":
            self.closed = self.closed or seen
        self._news.set()

    def happened(self, cause: bytes, value: Json, appended: float, received: float) -> None:
        """Take in a proved record that the record with this id caused, where that is one of ours."""
        if (name := self.record_ids.get(cause)) is not None:
            self.outcomes.setdefault(name, []).append(ReceivedRecord(value, appended, received))
            self._news.set()

    def refuse(self, refused: Refused) -> None:
        """Take in a dead letter of a record of ours."""
        self.refused.setdefault(refused.record_id, refused)
        self._news.set()

    async def until(self, found: Callable[["Watch"], T | None]) -> T:
        """Return what `found` gives once that is not None. Bound it with `asyncio.timeout`."""
        while (result := found(self)) is None:
            self._news.clear()
            await self._news.wait()
        return result

    async def change(self) -> None:
        """Return at the next record, or at once where one came since the last call."""
        await self._news.wait()
        self._news.clear()


class Watches:
    """Who waits, by the key of the records: what nobody waits for is dropped by its key, its value unparsed.

    most: registrations at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_key: dict[bytes, list[Watch]] = {}
        self.count = 0

    @contextmanager
    def registered(self, watch: Watch) -> Iterator[Watch]:
        """Register for the time of the block. Raises Overloaded."""
        if self.count >= self._most:
            raise Overloaded(f"{self.count} requests wait already; expected fewer than {self._most}")
        key = watch.identity.encode()
        self._by_key.setdefault(key, []).append(watch)
        self.count += 1
        try:
            yield watch
        finally:
            self.count -= 1
            others = self._by_key[key]
            others.remove(watch)
            if not others:
                del self._by_key[key]

    def of(self, key: bytes | None) -> list[Watch]:
        """Return those that wait for records of this key."""
        return self._by_key.get(key or b"", [])
