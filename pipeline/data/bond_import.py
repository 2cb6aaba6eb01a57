"""Bonds of a Redis that another program filled: read, cut into commands, and taken over once the ledger has them.

1. Scan: keys `abl:*` without our guard, each with its list of events.
2. Cut: one `adopt_bond` for each 200 events, named by the digest of what it says, so that a second run sends the same.
3. Send, and wait for what `bonds` makes of them. What an earlier run had judged is not sent again.
4. Take over: guards are set, and the projection writes these keys from the topics.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import ValidationError
from redis.exceptions import ResponseError

from endocrine.agents.bonds.entry import read_entry
from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.core.partitioning import canonical, partition_of, reserved
from endocrine.pipeline.data.commands import SOURCE, Caused, Outcomes
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.store import connect, take_over
from endocrine.schemas.bonds import TakenEvent

if TYPE_CHECKING:
    from redis.asyncio import Redis

Json = dict[str, Any]
PART_EVENTS = 200
"""Events of one command."""
MOST_EVENTS = 1000
"""Events of one bond, the newest."""
_SCAN = 100
_AT_ONCE = 200
"""Bonds sent before their outcomes are waited for."""
_SILENCE_S = 5.0
"""Seconds without any outcome after which those that are left count as not confirmed."""


class Found(NamedTuple):
    """A bond of another program."""

    user: str
    entry: Json
    events: list[Json]
    """Oldest first."""
    unreadable: int
    """Events that could not be read, left out."""


@dataclass
class Report:
    """What an import did."""

    found: int = 0
    events: int = 0
    ours: int = 0
    """Keys that the projection wrote."""
    unreadable: list[str] = field(default_factory=list)
    """Keys whose entries cannot be read."""
    unreadable_events: int = 0
    taken: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Users by why nothing was taken."""
    unconfirmed: list[str] = field(default_factory=list)
    keys_taken_over: int = 0


async def scan(client: "Redis", report: Report) -> AsyncIterator[Found]:
    """Yield the bonds that are not ours. Raises RedisError."""
    async for key in client.scan_iter(match=f"{keys.bond('')}*", count=_SCAN):
        user = key.decode("utf-8", "replace").removeprefix(keys.bond(""))
        if user.startswith(keys.EVENTS_PREFIX):
            continue
        if await client.ttl(keys.guard(keys.bond(user))) == -1:
            report.ours += 1
            continue
        entry = await _entry(client, user)
        if entry is None:
            report.unreadable.append(keys.bond(user))
            continue
        events, unreadable = await _events(client, user)
        report.found += 1
        report.events += len(events)
        report.unreadable_events += unreadable
        yield Found(user, entry, events, unreadable)


async def _entry(client: "Redis", user: str) -> Json | None:
    """The entry as stored; None where it is no entry, or no record could name its user."""
    if not 1 <= len(user) <= 256 or reserved(user):
        return None
    try:
        entry = orjson.loads(await client.get(keys.bond(user)) or b"")
        read_entry({**entry, "user_id": user})
        canonical_json(entry)
    except (ResponseError, ValueError, TypeError):
        return None
    return dict(entry)


async def _events(client: "Redis", user: str) -> tuple[list[Json], int]:
    """Events of a list that is not ours, oldest first, and the number that could not be read."""
    key = keys.bond_events(user)
    if await client.ttl(keys.guard(key)) == -1:
        return [], 0
    try:
        stored: Any = await client.lrange(key, 0, MOST_EVENTS - 1)
    except ResponseError:
        return [], 0
    events, unreadable = [], 0
    for content in reversed(stored):
        try:
            given = orjson.loads(content)
            known = {name: given[name] for name in TakenEvent.model_fields if given.get(name) is not None}
            read = {"detail": "", "data": {}} | known
            read["timestamp"] = float(read["timestamp"])
            event = TakenEvent.model_validate(read).model_dump()
            canonical_json(event)
            events.append(event)
        except (ValueError, TypeError, KeyError, AttributeError, ValidationError):
            unreadable += 1
    return events, unreadable


def commands(found: Found, *, by: str, replace: bool, now: float) -> list[Json]:
    """Return the commands that take a bond over, in order. now: seconds since 1970."""
    cut = [found.events[first : first + PART_EVENTS] for first in range(0, len(found.events), PART_EVENTS)] or [[]]
    made = []
    for number, events in enumerate(cut, 1):
        event = {
            "kind": "adopt_bond",
            "identity": canonical(found.user),
            "entry": found.entry,
            "events": events,
            "part": number,
            "parts": len(cut),
            "replace": replace,
        }
        digest = hashlib.sha256(canonical_json(event)).hexdigest()
        made.append({**event, "id": f"import-{digest}", "by": by, "ts": now})
    return made


async def import_bonds(settings: Settings, source: "Redis", *, by: str, replace: bool, own: bool) -> Report:
    """Take over what lies in this Redis. own: it is the Redis of our read models, whose keys are ours from then on.

    Raises RedisError, KafkaError, ProduceError, TimeoutError.
    """
    report = Report()
    async with Outcomes(settings, "bond-events", range(settings.partitions), from_start=True) as outcomes:
        judged = {one.command: one async for one in outcomes.standing() if _ends(one)}
        waiting: list[Found] = []
        async for found in scan(source, report):
            waiting.append(found)
            if len(waiting) == _AT_ONCE:
                await _some(settings, outcomes, judged, waiting, report, by=by, replace=replace, own=own)
                waiting = []
        await _some(settings, outcomes, judged, waiting, report, by=by, replace=replace, own=own)
    return report


def _ends(caused: Caused) -> bool:
    return caused.event is None or caused.event.get("imported") is not None


async def _some(
    settings: Settings,
    outcomes: Outcomes,
    judged: dict[str, Caused],
    some: Sequence[Found],
    report: Report,
    *,
    by: str,
    replace: bool,
    own: bool,
) -> None:
    parts = {found.user: commands(found, by=by, replace=replace, now=time.time()) for found in some}
    lines = [
        {"topic": "commands", "value": command, "headers": {"ce_source": SOURCE}}
        for sent in parts.values()
        if _outcome(sent, judged) is None
        for command in sent
    ]
    if lines:
        await produce(lines, settings)
    heard = time.monotonic()
    while any(_outcome(sent, judged) is None for sent in parts.values()) and time.monotonic() - heard < _SILENCE_S:
        for caused in await outcomes.next(_SILENCE_S):
            if _ends(caused):
                judged[caused.command] = caused
                heard = time.monotonic()
    taken = []
    for user, sent in parts.items():
        outcome = _outcome(sent, judged)
        if outcome == "taken":
            taken.append(user)
        elif outcome is None:
            report.unconfirmed.append(user)
        else:
            report.refused.setdefault(outcome, []).append(user)
    report.taken += len(taken)
    if taken and own:
        report.keys_taken_over += await take_over(settings, taken, _sources(settings, taken))


def _outcome(sent: Iterable[Mapping[str, Any]], judged: Mapping[str, Caused]) -> str | None:
    """How an import ended; None: not yet."""
    for command in sent:
        if (caused := judged.get(command["id"])) is not None:
            return caused.refused if caused.event is None else str(caused.event["imported"]["outcome"])
    return None


def _sources(settings: Settings, users: Iterable[str]) -> list[str]:
    places = sorted({partition_of(canonical(user), settings.partitions) for user in users})
    return [f"{settings.prefix}{topic}/{place}" for topic in ("bonds", "bond-events") for place in places]


def same_redis(settings: Settings, url: str | None) -> bool:
    """Return whether a URL names the Redis and database of our read models. None: it does."""
    if url is None:
        return True
    if settings.redis_url is None:
        return False
    mine, other = (_place(settings.model_copy(update={"redis_url": one})) for one in (settings.redis_url, url))
    return mine == other


def _place(settings: Settings) -> tuple[Any, ...]:
    options = connect(settings).connection_pool.connection_kwargs
    return options.get("path"), options.get("host"), options.get("port", 6379), options.get("db")
