"""Pages of a list that Redis keeps in order: the next, and the one before, whatever the filters leave out."""

from bisect import bisect_left, bisect_right
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
    """One page, in the order of its list."""

    items: list[T]
    previous: dict[str, str | None] | None
    """Parameters of the page before; None: this is the first."""
    next: dict[str, str | None] | None
    stopped: bool = False
    """Whether looking ended before the page was full, at MOST_LOOKED_AT."""


class _List(NamedTuple, Generic[T]):
    redis: "Redis"
    key: str
    load: Load[T]
    limit: int
    top: Place | None
    ascending: bool

    async def places(self, count: int, beyond: Place | None, *, back: bool = False) -> views.Places:
        return await views.page_places(self.redis, self.key, count, beyond, ascending=self.ascending != back)


async def listed(
    redis: "Redis",
    key: str,
    load: Load[T],
    query: dict[str, str],
    limit: int,
    *,
    top: Place | None = None,
    ascending: bool = False,
) -> Listed[T]:
    """Return the page that the parameters `cursor` (what follows a place) or `newer` (what is before one) name, else
    the first.

    top: where the list begins for this query, exclusive; not with ascending. ascending: the lowest score first. Raises
    Problem, 422; RedisError.
    """
    meant = _List(redis, key, load, limit, top, ascending)
    if "newer" in query:
        found = await _before(meant, cursor_of({"cursor": query["newer"]}) or (0, b""))
        return await _onward(meant, None) if found is None else found
    return await _onward(meant, cursor_of(query))


async def _onward(meant: _List[T], cursor: Place | None) -> Listed[T]:
    kept: list[tuple[Place, T]] = []
    place = _lower(cursor, meant.top)
    looked, last, more = 0, None, True
    while more and len(kept) < meant.limit and looked < MOST_LOOKED_AT:
        # Where nothing is left out, as many as are shown; more at once only where filters leave some out.
        page = await meant.places(AT_ONCE if looked else meant.limit, place)
        more = page.next is not None
        place = page.next
        looked += len(page.places)
        for where, one in zip(page.places, await meant.load([member for _, member in page.places]), strict=True):
            last = where
            if one is not None:
                kept.append((where, one))
                if len(kept) == meant.limit:
                    more = more or where != page.places[-1]
                    break
    following = {"cursor": shown_cursor(last), "newer": None} if more and last is not None else None
    return Listed([one for _, one in kept], _up_link(kept, cursor), following, more and len(kept) < meant.limit)


async def _before(meant: _List[T], after: Place) -> Listed[T] | None:
    """The page that ends before a place; None: the first page is as near."""
    kept: list[tuple[Place, T]] = []
    place: Place | None = after
    looked = 0
    while place is not None and len(kept) <= meant.limit and looked < MOST_LOOKED_AT:
        page = await meant.places(AT_ONCE, place, back=True)
        looked += len(page.places)
        places = [one for one in page.places if meant.top is None or one < meant.top]
        for where, one in zip(places, await meant.load([member for _, member in places]), strict=True):
            if one is not None:
                kept.append((where, one))
        place = page.next if len(places) == len(page.places) else None
    if len(kept) <= meant.limit:
        return None  # all that is before has room on the first page
    shown = kept[: meant.limit][::-1]
    following = {"cursor": shown_cursor(shown[-1][0]), "newer": None}
    return Listed([one for _, one in shown], _up_link(shown, after), following)


def paged(items: Sequence[T], place: Callable[[T], Place], query: dict[str, str], limit: int) -> Listed[T]:
    """Return a page, as `listed` does, of a list that is here whole, in the order of `place`. Raises Problem, 422."""
    places = [place(one) for one in items]
    cursor = cursor_of({"cursor": query["newer"]} if "newer" in query else query)
    if cursor is None:
        first = 0
    else:
        first = max(0, bisect_left(places, cursor) - limit) if "newer" in query else bisect_right(places, cursor)
    end = first + limit
    begins = places[first] if first < len(places) else None
    previous = {"newer": shown_cursor(begins), "cursor": None} if first else None
    following = {"cursor": shown_cursor(places[end - 1]), "newer": None} if end < len(places) else None
    return Listed(list(items[first:end]), previous, following)


def _lower(cursor: Place | None, top: Place | None) -> Place | None:
    return top if cursor is None else cursor if top is None else min(cursor, top)


def _up_link(kept: Sequence[tuple[Place, T]], cursor: Place | None) -> dict[str, str | None] | None:
    if cursor is None:
        return None
    newer = shown_cursor(kept[0][0]) if kept else None  # of an empty page, back to the first
    return {"newer": newer, "cursor": None}
