"""What waits for a person, over all subjects: calls and held turns, candidates, open conflicts."""

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys
from endocrine.pipeline.views.redis.views import page

if TYPE_CHECKING:
    from redis.asyncio import Redis

Json = dict[str, Any]
Place = tuple[int, bytes]


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


async def approvals(client: "Redis", named: ViewKeys, first: int, most: int) -> tuple[list[Waiting], int]:
    """Return what waits for a person, the next deadline first, from a place in the list on; and how many there are."""
    key = named.approvals()
    found: Any = await client.zrange(key, first, first + most - 1, withscores=True)
    listed = [(orjson.loads(member), score / 1000) for member, score in found]
    pipe = client.pipeline(transaction=False)
    for who, _ in listed:
        pipe.hgetall(named.turn(who[2]))
    pipe.zcard(key)
    *turns, total = await pipe.execute()
    waiting = [
        Waiting(who[0], who[1], who[2], who[3] if len(who) > 3 else None, expires, _parts_of(stored, who[1]))
        for (who, expires), stored in zip(listed, turns, strict=True)
    ]
    return waiting, int(total)


def _parts_of(stored: Any, identity: str) -> Json:
    parts = {name.decode(): orjson.loads(part) for name, part in stored.items() if not name.startswith(b"~")}
    return {name: part for name, part in parts.items() if part["identity"] == identity}


async def candidates(client: "Redis", limit: int, after: Place | None = None) -> tuple[list[Json], Place | None]:
    """Return candidates of all subjects, the oldest first, and the place of the last where there are more."""
    return await _named(client, keys.candidates_index(), keys.memories, limit, after)


async def open_conflicts(client: "Redis", limit: int, before: Place | None = None) -> tuple[list[Json], Place | None]:
    """Return open conflicts of all subjects, the newest first, and the place of the last where there are more."""
    found = await page(client, keys.conflicts_index(), limit, before)
    return await _fetched(client, keys.conflicts, found.members), found.next


async def _named(
    client: "Redis", index: str, of_subject: Any, limit: int, after: Place | None
) -> tuple[list[Json], Place | None]:
    low: Any = "-inf" if after is None else after[0]
    skipped, members, last = 0, list[bytes](), None
    while True:
        found: Any = await client.zrangebyscore(index, low, "+inf", start=skipped, num=limit + 1, withscores=True)
        skipped += len(found)
        for member, score in found:
            if after is not None and (int(score), member) <= after:
                continue
            if len(members) == limit:
                return await _fetched(client, of_subject, members), last
            members.append(member)
            last = int(score), member
        if len(found) <= limit:
            return await _fetched(client, of_subject, members), None


async def _fetched(client: "Redis", of_subject: Any, members: list[bytes]) -> list[Json]:
    """The records that members `[subject, field]` name; those that went meanwhile are left out."""
    if not members:
        return []
    pipe = client.pipeline(transaction=False)
    for member in members:
        subject, field = orjson.loads(member)
        pipe.hget(of_subject(subject), field)
    return [orjson.loads(one) for one in await pipe.execute() if one is not None]


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
