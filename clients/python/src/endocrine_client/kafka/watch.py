"""What became of a turn: the derived records that count, of all that are on the topics. Pure.

One counts where it lies on the partition of its identity, under that identity as key and in its value, its
`endocrine-origin` names the agent that writes the topic, and, where there is a seal key, its seal is right. A copy of
what is known already changes nothing.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from endocrine_client.kafka.binding import partition_of
from endocrine_client.kafka.records import Json

T = TypeVar("T")
AUTHORS: Mapping[str, bytes] = {
    "modulations": b"modulation/",
    "tool-decisions": b"gating/",
    "bond-events": b"bonds/",
    "interactions.dlq": b"",
    "tool-calls.dlq": b"",
    "commands.dlq": b"",
}
"""Topics that are followed, with what `endocrine-origin` begins with; dead letters name the agent that refused."""
NEEDED = ("modulations", "tool-decisions")
"""Without these no decision comes; without the others an outcome, or a refusal, is not seen."""
MOST_TURNS = 1000
"""Turns that are followed at once; beyond it the oldest is forgotten, and its calls are decided by nobody."""
_DEAD = ".dlq"


class Raw(Protocol):
    """A record as it was fetched; aiokafka's ConsumerRecord is one."""

    @property
    def partition(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


Seal = Callable[[str, Raw, Mapping[str, bytes | None]], bool]
"""Whether a record of a topic (without prefix) carries a seal of the deployment; headers as a mapping."""


class Watch:
    """Everything that counts of one turn since it was followed; audit_id None: of the whole identity."""

    def __init__(self, identity: str, audit_id: str | None) -> None:
        self.identity, self.audit_id = identity, audit_id
        self.sending: set[str] = set()
        """Ids of its records that were given to the broker, whether or not it has them."""
        self.recorded: set[str] = set()
        """Ids of those that it has."""
        self.modulations: dict[int, Json] = {}
        self.decisions: dict[tuple[str, str, str | None], Json] = {}
        """By call id, function and digest of the arguments: the first that is final, else the latest pending one."""
        self.refused: dict[str, tuple[str, str]] = {}
        """By record id: kind and message of its dead letter."""
        self.outcomes: dict[str, Json] = {}
        """By the id of a command."""
        self._news = asyncio.Event()

    @property
    def modulation(self) -> Json | None:
        """That of the highest revision."""
        return self.modulations[max(self.modulations)] if self.modulations else None

    def decision(self, call_id: str, function: str, digest: str | None) -> Json | None:
        """The decision on a call of this function with these arguments.

        A denial without a digest counts too: arguments beyond the policy's bounds have none. A no is always safe.
        """
        if digest is not None and (found := self.decisions.get((call_id, function, digest))) is not None:
            return found
        unbound = self.decisions.get((call_id, function, None))
        return unbound if unbound is not None and unbound["decision"] == "denied" else None

    def apply(self, topic: str, value: Json) -> None:
        """Take in a record of this turn. Raises KeyError, TypeError, ValueError: it has not the form of its topic."""
        if topic == "modulations":
            self.modulations.setdefault(_whole(value["revision"]), value)
        elif topic == "tool-decisions":
            if value["decision"] not in ("allowed", "denied", "pending"):
                raise ValueError("decision")
            call = str(value["call_id"]), str(value["function"]), value.get("arguments_digest")
            if self.decisions.get(call, {"decision": "pending"})["decision"] == "pending":
                self.decisions[call] = value
        self._news.set()

    def refuse(self, record_id: str, kind: str, message: str) -> None:
        """Take in the dead letter of a record of this turn."""
        self.refused.setdefault(record_id, (kind, message))
        self._news.set()

    def happened(self, command_id: str, value: Json) -> None:
        """Take in the event of a command."""
        self.outcomes.setdefault(command_id, value)
        self._news.set()

    async def until(self, found: Callable[["Watch"], T | None], within_s: float) -> T | None:
        """What `found` gives once that is not None; None where it does not come in time."""
        try:
            return await asyncio.wait_for(self._until(found), within_s)
        except asyncio.TimeoutError:
            return None

    async def _until(self, found: Callable[["Watch"], T | None]) -> T:
        while (result := found(self)) is None:
            self._news.clear()
            await self._news.wait()
        return result


class Following:
    """All watches, and what is taken in for them. partitions: of every topic. seal: None where there is no key."""

    def __init__(self, partitions: int, seal: Seal | None, most: int = MOST_TURNS) -> None:
        self._partitions, self._seal, self._most = partitions, seal, most
        self._turns: OrderedDict[tuple[str, str], Watch] = OrderedDict()
        self._by_key: dict[bytes, list[Watch]] = {}
        self.dropped = 0
        """Records under a followed identity that did not count."""

    def turn(self, identity: str, audit_id: str) -> Watch:
        """The watch of a turn, the same until it is closed or forgotten."""
        found = self._turns.get((identity, audit_id))
        if found is None:
            found = self._turns[identity, audit_id] = Watch(identity, audit_id)
            self._add(found)
            while len(self._turns) > self._most:
                self._remove(self._turns.popitem(last=False)[1])
        self._turns.move_to_end((identity, audit_id))
        return found

    def forget(self, identity: str, audit_id: str) -> None:
        """End the watch of a turn."""
        if (found := self._turns.pop((identity, audit_id), None)) is not None:
            self._remove(found)

    @contextmanager
    def command(self, identity: str, audit_id: str | None) -> Iterator[Watch]:
        """A watch for the time of the block, which sees what comes from now on."""
        watch = Watch(identity, audit_id)
        self._add(watch)
        try:
            yield watch
        finally:
            self._remove(watch)

    def take(self, topic: str, raw: Raw) -> None:
        """Take in a fetched record, where it counts. topic: without prefix. Never raises."""
        watches = self._by_key.get(raw.key or b"", [])
        if watches and not self._taken(topic, raw, list(watches)):
            self.dropped += 1

    def _taken(self, topic: str, raw: Raw, watches: list[Watch]) -> bool:
        try:
            headers = dict(raw.headers)
            identity = (raw.key or b"").decode()
            if raw.partition != partition_of(identity, self._partitions):
                return False
            if not (headers.get("endocrine-origin") or b"").startswith(AUTHORS[topic]):
                return False
            if self._seal is not None and not self._seal(topic, raw, headers):
                return False
            ce_id = (headers.get("ce_id") or b"").decode()
            if topic.endswith(_DEAD):
                kind, why = (_text(headers.get(f"endocrine-{name}")) for name in ("error-kind", "error"))
                for watch in watches:
                    if ce_id in watch.sending:
                        watch.refuse(ce_id, kind, why)
                return True
            value = json.loads(raw.value or b"")
            if value["identity"] != identity:
                return False
            if topic == "bond-events":
                for watch in watches:
                    if (cause := ce_id.partition("/")[2].rpartition("/")[0]) in watch.sending:
                        watch.happened(cause, value)
                return True
            for watch in watches:
                if watch.audit_id in (None, value["audit_id"]):
                    watch.apply(topic, value)
            return True
        except (KeyError, TypeError, ValueError, RecursionError):
            return False

    def _add(self, watch: Watch) -> None:
        self._by_key.setdefault(watch.identity.encode(), []).append(watch)

    def _remove(self, watch: Watch) -> None:
        key = watch.identity.encode()
        self._by_key[key].remove(watch)
        if not self._by_key[key]:
            del self._by_key[key]


def _whole(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError("revision")
    return number


def _text(content: bytes | None) -> str:
    return (content or b"unknown").decode("utf-8", "replace")
