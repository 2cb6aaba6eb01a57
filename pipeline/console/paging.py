"""Pages of a list that Redis keeps in order: the next, and the one before, whatever the filters leave out."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from endocrine.pipeline.gateway.routes.reads import cursor_of, shown_cursor
from endocrine.pipeline.views.redis import views

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")
Place = tuple[int, bytes]
"""Score and member."""
Load = Callable[[Sequence[bytes]], Awaitable[Sequence[T | None]]]
"""Returns what is shown of each member; None: the filters leave it out."""
AT_ONCE = 200
MOST_LOOKED_AT = 10_000
"""Members that are looked at for one page."""


class Listed(NamedTuple, Generic[T]):
    """One page, newest first."""

    items: list[T]
    previous: dict[str, str | None] | None
    """Parameters of the page before; None: this is the first."""
    next: dict[str, str | None] | None
    stopped: bool = False
    """Whether looking ended before the page was full, at MOST_LOOKED_AT."""


async def listed(
    redis: "Redis", key: str, load: Load[T], query: dict[str, str], limit: int, *, top: Place | None = None
) -> Listed[T]:
    """Return the page that the parameters `cursor` (older than) or `newer` (newer than) name, else the first.

    top: where the list begins for this query, exclusive. Raises Problem, 422; RedisError.
    """
    if "newer" in query:
        found = await _before(redis, key, load, cursor_of({"cursor": query["newer"]}) or (0, b""), limit, top)
        if found is not None:
            return found
        return await _down(redis, key, load, None, limit, top)
    return await _down(redis, key, load, cursor_of(query), limit, top)


async def _down(
    redis: "Redis", key: str, load: Load[T], cursor: Place | None, limit: int, top: Place | None
) -> Listed[T]:
    kept: list[tuple[Place, T]] = []
    place = _lower(cursor, top)
    looked, last, more = 0, None, True
    while more and len(kept) < limit and looked < MOST_LOOKED_AT:
        page = await views.page_places(redis, key, AT_ONCE, place)
        more = page.next is not None
        place = page.next
        looked += len(page.places)
        for where, one in zip(page.places, await load([member for _, member in page.places]), strict=True):
            last = where
            if one is not None:
                kept.append((where, one))
                if len(kept) == limit:
                    more = more or where != page.places[-1]
                    break
    following = {"cursor": shown_cursor(last), "newer": None} if more and last is not None else None
    return Listed([one for _, one in kept], _up_link(kept, cursor), following, more and len(kept) < limit)


async def _before(
    redis: "Redis", key: str, load: Load[T], after: Place, limit: int, top: Place | None
) -> Listed[T] | None:
    """The page that ends before a place; None: the first page is as near."""
    kept: list[tuple[Place, T]] = []
    place, looked = after, 0
    while len(kept) <= limit and looked < MOST_LOOKED_AT:
        places = [one for one in await views.page_after(redis, key, AT_ONCE, place) if top is None or one < top]
        looked += len(places)
        for where, one in zip(places, await load([member for _, member in places]), strict=True):
            if one is not None:
                kept.append((where, one))
        if len(places) < AT_ONCE:
            break
        place = places[-1]
    if len(kept) <= limit:
        return None  # all that is newer has room on the first page
    shown = kept[:limit][::-1]
    return Listed(
        [one for _, one in shown], _up_link(shown, after), {"cursor": shown_cursor(shown[-1][0]), "newer": None}
    )


def _lower(cursor: Place | None, top: Place | None) -> Place | None:
    return top if cursor is None else cursor if top is None else min(cursor, top)


def _up_link(kept: Sequence[tuple[Place, T]], cursor: Place | None) -> dict[str, str | None] | None:
    if cursor is None:
        return None
    newer = shown_cursor(kept[0][0]) if kept else None  # of an empty page, back to the first
    return {"newer": newer, "cursor": None}
