"""What waits for a person, over all subjects: calls and held turns, candidates, open conflicts."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys

if TYPE_CHECKING:
    from redis.asyncio import Redis

Json = dict[str, Any]


class Waiting(NamedTuple):
    """A call or a held turn that waits for a person."""

    kind: str
    """`call` or `turn`."""
    identity: str
    audit_id: str
    call_id: str | None
    """Of a call."""
    expires: float
    """Event time until which a person may answer, seconds since 1970."""
    parts: Json
    """What is known of its turn, by part; empty where the turn is not in the read models any more."""

    @property
    def member(self) -> bytes:
        """Its name in the list."""
        return member_of(self.kind, self.identity, self.audit_id, self.call_id)

    @property
    def call(self) -> Json:
        """The decision that the call waits for a person; empty where it is not known."""
        found: Json = self.parts.get(f"call/{self.call_id}") or {}
        return found


def member_of(kind: str, identity: str, audit_id: str, call_id: str | None = None) -> bytes:
    """Return the member of the list of a call or a turn."""
    return orjson.dumps([kind, identity, audit_id] if call_id is None else [kind, identity, audit_id, call_id])


async def approvals(client: "Redis", named: ViewKeys, members: Sequence[bytes]) -> list[Waiting | None]:
    """Return what these members of the list are, in their order; None of one that does not wait any more, as far as the
    read models know."""
    who = [orjson.loads(member) for member in members]
    pipe = client.pipeline(transaction=False)
    for member, one in zip(members, who, strict=True):
        pipe.zscore(named.approvals(), member)
        # The parts that say it, not the turn whole: of a turn with a hundred calls, each would read all.
        pipe.hmget(named.turn(one[2]), [name.encode() for name in _parts_named(one)])
    found = await pipe.execute()
    return [
        None if until is None else _still(_waiting(one, until / 1000, parts))
        for one, until, parts in zip(who, found[::2], found[1::2], strict=True)
    ]


async def count(client: "Redis", named: ViewKeys) -> int:
    """Return how many calls and held turns wait."""
    return int(await client.zcard(named.approvals()))


def _parts_named(who: Sequence[str]) -> list[str]:
    return ["opened", "modulation", "closed", *(f"call/{one}" for one in who[3:])]


def _waiting(who: Sequence[str], expires: float, stored: Sequence[bytes | None]) -> Waiting:
    parts = {name: orjson.loads(part) for name, part in zip(_parts_named(who), stored, strict=True) if part is not None}
    mine = {name: part for name, part in parts.items() if part["identity"] == who[1]}
    return Waiting(who[0], who[1], who[2], who[3] if len(who) > 3 else None, expires, mine)


def _still(one: Waiting) -> Waiting | None:
    """None where an answer would have nothing to answer."""
    if "closed" in one.parts:
        return None
    if one.kind == "turn":
        waits = (one.parts.get("modulation") or {"refusal": "held"})["refusal"] == "held"
    else:
        waits = (one.call or {"decision": "pending"})["decision"] == "pending"
    return one if waits else None


async def candidates(client: "Redis", members: Sequence[bytes]) -> list[Json | None]:
    """Return the memories that these members of the index of candidates name; None of one that went meanwhile."""
    return await _fetched(client, keys.memories, members)


async def conflicts(client: "Redis", members: Sequence[bytes]) -> list[Json | None]:
    """Return the conflicts that these members of the index of open ones name; None of one that went meanwhile."""
    return await _fetched(client, keys.conflicts, members)


async def _fetched(client: "Redis", of_subject: Callable[[str], str], members: Sequence[bytes]) -> list[Json | None]:
    """The records that members `[subject, field]` name, in their order."""
    if not members:
        return []
    pipe = client.pipeline(transaction=False)
    for member in members:
        subject, field = orjson.loads(member)
        pipe.hget(of_subject(subject), field)
    return [None if one is None else orjson.loads(one) for one in await pipe.execute()]


async def is_waiting(client: "Redis", named: ViewKeys, member: bytes) -> bool:
    """Return whether a call or a turn is still in the list."""
    return await client.zscore(named.approvals(), member) is not None


async def fingerprint(client: "Redis", named: ViewKeys) -> list[Any]:
    """Return what changes when something begins to wait, or is answered: of each list its length and both its ends."""
    pipe = client.pipeline(transaction=False)
    for key in (named.approvals(), keys.candidates_index(), keys.conflicts_index()):
        pipe.zcard(key)
        pipe.zrange(key, 0, 0)
        pipe.zrange(key, -1, -1)
    found: list[Any] = await pipe.execute()
    return found
