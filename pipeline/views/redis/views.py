"""Readers of the read models, for the gateway and the console."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from endocrine.agents.bonds.entry import read_entry
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys
from endocrine.schemas.bonds import Bond

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SCANNED = 500
"""Entries looked at together where only some are meant."""
DEFAULT_EVENTS = 50
"""Bond events read where nothing else is asked for (rules 6)."""


async def bond(client: "Redis", user_id: str) -> Bond | None:
    """Return the bond entry; fields that an older or partial form lacks have their defaults. None: none can be read."""
    return _entry(user_id, await client.get(keys.bond(user_id)))


def _entry(user_id: str, stored: bytes | str | None) -> Bond | None:
    try:  # another program may have written it
        return Bond.model_validate(read_entry({**orjson.loads(stored or b"null"), "user_id": user_id}))
    except (ValueError, TypeError):
        return None


async def bond_events(client: "Redis", user_id: str, limit: int = DEFAULT_EVENTS) -> list[dict[str, Any]]:
    """Return the last `limit` (>= 1) events, newest first."""
    if limit < 1:
        raise ValueError(f"limit {limit}: expected 1 or more")
    found = []
    for event in await client.lrange(keys.bond_events(user_id), 0, limit - 1):
        with suppress(orjson.JSONDecodeError):  # another program may have written it
            found.append(orjson.loads(event))
    return found


class Bonds(NamedTuple):
    """Bond entries, the last updated first, and where the next page begins; None: no more."""

    entries: list[Bond]
    next: tuple[int, bytes] | None


async def bonds(
    client: "Redis", limit: int, before: tuple[int, bytes] | None = None, *, phase: str | None, risk: str | None
) -> Bonds:
    """Return the bonds in this phase and of this risk level; None: whichever. Keys that are not ours are not among
    them."""
    entries: list[Bond] = []
    while True:
        found = await page(client, keys.bonds_index(), _SCANNED if phase or risk else limit - len(entries), before)
        stored: Any = await client.mget([keys.bond(user.decode()) for user in found.members]) if found.members else []
        for user, content in zip(found.members, stored, strict=True):
            one = _entry(user.decode(), content)
            if one is None or phase not in (None, one.phase) or risk not in (None, one.risk_level):
                continue
            entries.append(one)
            if len(entries) == limit:
                if user == found.members[-1]:
                    return Bonds(entries, found.next)
                score = await client.zscore(keys.bonds_index(), user)
                return Bonds(entries, None if score is None else (int(score), user))
        if found.next is None:
            return Bonds(entries, None)
        before = found.next


async def bonds_of(
    client: "Redis", users: Sequence[bytes], *, phase: str | None, risk: str | None
) -> list[Bond | None]:
    """Return the bonds of these members of the index, in their order; None of one that is of another phase or risk
    level, or not ours."""
    stored: Any = await client.mget([keys.bond(user.decode()) for user in users]) if users else []
    found = [_entry(user.decode(), content) for user, content in zip(users, stored, strict=True)]
    return [
        None if one is None or phase not in (None, one.phase) or risk not in (None, one.risk_level) else one
        for one in found
    ]


async def foreign_keys(client: "Redis") -> int:
    """Return the number of keys of bonds that the projection leaves alone, as it did not write them."""
    return int(await cast(Any, client.scard(keys.foreign_keys())))


async def attribution(client: "Redis", identity: str) -> dict[str, dict[str, Any]]:
    """Return the attribution state by primitive, sorted; empty: nothing observed. Probabilistic; it gates nothing."""
    stored: Any = await client.hgetall(keys.attribution(identity))
    return {primitive.decode(): orjson.loads(stored[primitive]) for primitive in sorted(stored)}


async def style(client: "Redis", identity: str) -> dict[str, Any] | None:
    """Return the feedback style table, or None."""
    stored = await client.get(keys.style(identity))
    return None if stored is None else orjson.loads(stored)


async def trusted(client: "Redis", subject: str, *, superseded: bool = False) -> list[dict[str, Any]]:
    """Return the trusted state of a subject, sorted by category and key. superseded: what is not in force any more,
    too."""
    stored: Any = await client.hgetall(keys.trusted(subject))
    entries = [orjson.loads(content) for content in stored.values()]
    found = [entry for entry in entries if superseded or entry["status"] == "active"]
    return sorted(found, key=lambda entry: (entry["category"], entry["key"]))


async def memories(
    client: "Redis", subject: str, *, status: str | None = None, type: str | None = None
) -> list[dict[str, Any]]:
    """Return the memories of a subject, the oldest first. status, type: only such; None: whichever."""
    stored: Any = await client.hgetall(keys.memories(subject))
    entries = [orjson.loads(content) for content in stored.values()]
    found = [one for one in entries if status in (None, one["status"]) and type in (None, one["type"])]
    return sorted(found, key=lambda one: (one["created_ts"], one["memory_id"]))


async def memory(client: "Redis", subject: str, memory_id: str) -> dict[str, Any] | None:
    """Return one memory; None without such a memory."""
    stored: Any = await cast(Any, client.hget(keys.memories(subject), memory_id))
    return None if stored is None else cast(dict[str, Any], orjson.loads(stored))


async def conflicts(client: "Redis", subject: str, *, status: str | None = None) -> list[dict[str, Any]]:
    """Return the latest conflict of each slot of a subject, by slot. status: only such; None: whichever."""
    stored: Any = await client.hgetall(keys.conflicts(subject))
    entries = [orjson.loads(content) for content in stored.values()]
    return sorted((one for one in entries if status in (None, one["status"])), key=lambda one: str(one["slot"]))


MOST_GROUP = 64
"""Identities of a group; a larger one is shown in part."""


async def links(client: "Redis", identity: str, *, status: str | None = None) -> list[dict[str, Any]]:
    """Return the links of an identity to others, the highest score first, then by name. status: only such; None:
    whichever."""
    stored: Any = await client.hgetall(keys.links(identity))
    entries = [orjson.loads(content) for content in stored.values()]
    found = [one for one in entries if status in (None, one["status"])]
    return sorted(found, key=lambda one: (-one["score"], one["a"], one["b"]))


async def link(client: "Redis", one: str, other: str) -> dict[str, Any] | None:
    """Return the link of two identities; None where no evidence links them."""
    stored: Any = await cast(Any, client.hget(keys.links(one), other))
    return None if stored is None else cast(dict[str, Any], orjson.loads(stored))


class LinkGroup(NamedTuple):
    """Identities that applied links connect."""

    members: list[str]
    """Sorted; the identity that was asked for among them."""
    truncated: bool
    """Whether there are more than `MOST_GROUP`; the nearest are shown."""


async def link_group(client: "Redis", identity: str) -> LinkGroup:
    """Return the connected component of an identity over applied links, computed from the links as they are now."""
    members, edge = {identity}, [identity]
    while edge:
        following: set[str] = set()
        for member in edge:
            for one in await links(client, member, status="applied"):
                following.add(one["b"] if one["a"] == member else one["a"])
        edge = sorted(following - members)
        room = MOST_GROUP - len(members)
        if len(edge) > room:
            return LinkGroup(sorted(members | set(edge[:room])), truncated=True)
        members |= set(edge)
    return LinkGroup(sorted(members), truncated=False)


class Page(NamedTuple):
    """Members of a sorted set, newest first, and where the next page begins; None: no more."""

    members: list[bytes]
    next: tuple[int, bytes] | None


class Places(NamedTuple):
    """Places (score, member) of a sorted set in the order of a list, and where its next page begins; None: no more."""

    places: list[tuple[int, bytes]]
    next: tuple[int, bytes] | None


async def page(client: "Redis", key: str, limit: int, before: tuple[int, bytes] | None = None) -> Page:
    """Return the newest members, or those before a place that an earlier page gave."""
    found = await page_places(client, key, limit, before)
    return Page([member for _, member in found.places], found.next)


async def page_places(
    client: "Redis", key: str, limit: int, beyond: tuple[int, bytes] | None = None, *, ascending: bool = False
) -> Places:
    """Return members with their scores, from the highest on (ascending: from the lowest), or those beyond a place that
    an earlier page gave."""
    read: Any = client.zrangebyscore if ascending else client.zrevrangebyscore
    begin, end = ("-inf", "+inf") if ascending else ("+inf", "-inf")
    skipped, places = 0, list[tuple[int, bytes]]()
    while True:
        first = begin if beyond is None else beyond[0]
        found: Any = await read(key, first, end, start=skipped, num=limit + 1, withscores=True)
        skipped += len(found)
        for member, score in found:
            place = int(score), member
            if beyond is not None and (place <= beyond if ascending else place >= beyond):
                continue
            if len(places) == limit:
                return Places(places, places[-1])
            places.append(place)
        if len(found) <= limit:
            return Places(places, None)


async def turn(client: "Redis", named: ViewKeys, audit_id: str) -> dict[str, Any] | None:
    """Return what is known of a turn, by part; None: nothing. Parts of another identity under the same id are left
    out."""
    return _parts(await client.hgetall(named.turn(audit_id)))


def _parts(stored: Any) -> dict[str, Any] | None:
    parts = {name.decode(): orjson.loads(part) for name, part in stored.items() if not name.startswith(b"~")}
    if not parts:
        return None
    whose = (parts.get("opened") or parts.get("modulation") or next(iter(parts.values())))["identity"]
    return {name: part for name, part in sorted(parts.items()) if part["identity"] == whose}


async def turns_or_none(client: "Redis", named: ViewKeys, audit_ids: Sequence[bytes]) -> list[dict[str, Any] | None]:
    """Return what is known of these turns, in their order; None in the place of one that went meanwhile. One round
    trip."""
    if not audit_ids:
        return []
    pipe = client.pipeline(transaction=False)
    for audit_id in audit_ids:
        pipe.hgetall(named.turn(audit_id.decode()))
    return [_parts(stored) for stored in await pipe.execute()]


class RecentTurn(NamedTuple):
    """A turn as overviews count it."""

    at: float
    """Append time of its opening, seconds since 1970."""
    mode: str | None
    """None where no modulation is known."""


async def recent_turns(client: "Redis", named: ViewKeys, since: float, most: int) -> tuple[list[RecentTurn], bool]:
    """Return the newest turns since a time, at most so many, newest first; whether more are left out."""
    found: Any = await client.zrevrangebyscore(
        named.turns(), "+inf", int(since * 1000), start=0, num=most + 1, withscores=True
    )
    listed: list[RecentTurn] = []
    for begin in range(0, min(len(found), most), _SCANNED):
        some = found[begin : min(begin + _SCANNED, most)]
        pipe = client.pipeline(transaction=False)
        for member, _ in some:
            pipe.hget(named.turn(member.decode()), "modulation")
        listed += [
            RecentTurn(score / 1000, orjson.loads(modulation or b"{}").get("mode"))
            for (_, score), modulation in zip(some, await pipe.execute(), strict=True)
        ]
    return listed, len(found) > most


class Spend(NamedTuple):
    """Tokens that closed turns reported."""

    since: int
    """Seconds since 1970."""
    tokens: int
    """Of all identities."""
    spenders: list[tuple[str, int]]
    """Who spent most and how much, of those who were among the `_LOOKED_AT` that spent most in some step."""


_LOOKED_AT = 64
"""Identities of a step that may be among those that spent most."""


async def spend(client: "Redis", named: ViewKeys, span_s: int, now: float, most: int) -> Spend:
    """Return what was spent in a span of `SPEND_STEPS`, from its first whole step on. most: spenders that are named."""
    since, steps = named.spend(span_s, now)
    pipe = client.pipeline(transaction=False)
    for step in steps:
        pipe.zrevrange(step, 0, _LOOKED_AT, withscores=True)  # `all` is the first
    first: Counter[bytes] = Counter()
    for found in await pipe.execute():
        first.update({member: int(tokens) for member, tokens in found})
    total = first.pop(b"all", 0)
    likely = [member for member, _ in first.most_common(_LOOKED_AT)]
    if not likely:
        return Spend(since, total, [])
    for step in steps:
        cast(Any, pipe).zmscore(step, likely)
    exact: Counter[str] = Counter()
    for scores in await pipe.execute():
        exact.update({one[1:].decode(): int(score or 0) for one, score in zip(likely, scores, strict=True)})
    return Spend(since, total, exact.most_common(most))


async def turns(client: "Redis", named: ViewKeys, audit_ids: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return what is known of these turns, in their order; those that went meanwhile are left out."""
    found = [await turn(client, named, audit_id.decode()) for audit_id in audit_ids]
    return [one for one in found if one is not None]


async def analytics(client: "Redis", named: ViewKeys) -> list[dict[str, Any]]:
    """Return figures per tool over all partitions: counts are sums; p50 is the mean of the partitions' medians by their
    results, p95 the highest of theirs: an upper bound."""
    stored: Any = await client.hgetall(named.analytics())
    by_tool: dict[str, list[dict[str, Any]]] = {}
    for place in sorted(name for name in stored if not name.startswith(b"~")):
        by_tool.setdefault(place.decode().rpartition("/")[0], []).append(orjson.loads(stored[place]))
    return [_merged(tool, parts) for tool, parts in by_tool.items()]


def _merged(tool: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    timed = [part for part in parts if part["p50_ms"] is not None and part["count"]]
    weight = sum(part["count"] for part in timed)
    modes = {name: sum(part["modes"][name] for part in parts) for name in parts[0]["modes"]}
    return {
        "tool": tool,
        "window_s": max(part["window_s"] for part in parts),
        **{name: sum(part[name] for part in parts) for name in ("count", "ok", "error", "blocked")},
        "p50_ms": sum(part["p50_ms"] * part["count"] for part in timed) / weight if weight else None,
        "p95_ms": max((part["p95_ms"] for part in timed), default=None),
        "modes": modes,
        "ts": max(part["ts"] for part in parts),
    }
