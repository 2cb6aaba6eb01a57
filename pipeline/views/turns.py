"""Turns as summaries without their text, from the read models: what a door and a command list."""

from collections.abc import Mapping
from typing import Any

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.keys import ViewKeys

Json = dict[str, Any]
Cursor = tuple[int, bytes]
_SCANNED = 500
"""Turns looked at together where only some are meant."""


async def listed_turns(
    redis: Any,
    keys: ViewKeys,
    names: NameTable,
    place: str,
    wanted: Mapping[str, str | None],
    since: float | None,
    limit: int,
    before: Cursor | None = None,
) -> tuple[list[Json], Cursor | None]:
    """Return at most so many turns of a list, newest first, and where the next page begins; None: there is none.

    place: key of the list. wanted: fields of the opening; None: any. since: opened then or later, seconds. limit: 1 or
    more. before: where the page begins. What an identity did before it was erased is in no list. Raises RedisError.
    """
    items: list[Json] = []
    narrowed = since is not None or any(value is not None for value in wanted.values())
    while True:
        size = _SCANNED if narrowed else limit - len(items)
        page = await views.page(redis, place, size, before)
        for member in page.members:
            found = await views.turn(redis, keys, member.decode())
            if found is None or is_erased(names, found) or not _matches(found.get("opened", {}), wanted, since):
                continue
            items.append(summary_of(member.decode(), found))
            if len(items) == limit:
                return items, await _after(redis, place, member, page)
        if page.next is None:
            return items, None
        before = page.next


async def _after(redis: Any, place: str, member: bytes, page: views.Page) -> Cursor | None:
    """Where the next page begins; None where this member was the last."""
    if member == page.members[-1]:
        return page.next
    score = await redis.zscore(place, member)
    return None if score is None else (int(score), member)


def is_erased(names: NameTable, parts: Mapping[str, Json]) -> bool:
    """Return whether a turn (as `views.turn`) is of an identity that was erased since."""
    return is_erased_part(names, next(iter(parts.values())))


def is_erased_part(names: NameTable, part: Mapping[str, Any]) -> bool:
    """Return whether a record, or a part of a turn, is of an identity that was erased since."""
    return names.erased_before(part["identity"], part.get("ts", 0.0))


def _matches(opened: Json, wanted: Mapping[str, str | None], since: float | None) -> bool:
    if since is not None and not opened.get("ts", -1.0) >= since:
        return False
    return all(value in (None, opened.get(name)) for name, value in wanted.items())


def summary_of(audit_id: str, parts: Json) -> Json:
    """Return a turn without its text. parts: as `views.turn`."""
    opened, modulation, closed = (parts.get(name) or {} for name in ("opened", "modulation", "closed"))
    audits = [part for name, part in parts.items() if name.startswith("audit/")]
    return {
        "audit_id": audit_id,
        "identity": next(iter(parts.values()))["identity"],
        **{name: opened.get(name) for name in ("project", "session_id", "turn", "client", "model", "door")},
        "ts": opened.get("ts"),
        "ended_ts": closed.get("ts"),
        "finish": closed.get("finish"),
        "mode": modulation.get("mode"),
        "prompt_chars": opened.get("chars"),
        "response_chars": closed.get("chars"),
        "memories_used": closed.get("memories_used"),
        "chunks_used": closed.get("chunks_used"),
        "status": audits[0]["status"] if audits else None,
    }
