"""Pages of a list that Redis keeps: the next, the one before, and the same entries whichever way one goes."""

import pytest

from endocrine.pipeline.console import paging
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.paging import listed, paged
from endocrine.pipeline.gateway.problems import Problem

LIMIT = 10


class Redis:
    """One sorted set, several members of each score."""

    def __init__(self, count):
        self.places = sorted((number // 4, b"m%03d" % number) for number in range(count))

    async def zrevrangebyscore(self, key, top, _, *, start, num, withscores):
        found = [one for one in reversed(self.places) if top == "+inf" or one[0] <= top]
        return [(member, float(score)) for score, member in found[start : start + num]]

    async def zrangebyscore(self, key, least, _, *, start, num, withscores):
        found = [one for one in self.places if least == "-inf" or one[0] >= least]
        return [(member, float(score)) for score, member in found[start : start + num]]


def load(keep):
    async def loaded(members):
        return [member if keep(int(member[1:])) else None for member in members]

    return loaded


async def walk(listing, query, step):
    pages = []
    while True:
        page = await listing(query)
        pages.append([int(one[1:]) for one in page.items])
        changed = getattr(page, step)
        if changed is None:
            return pages, query
        query = {name: one for name, one in {**query, **changed}.items() if one}


def in_redis(count, keep, ascending):
    redis = Redis(count)
    return lambda query: listed(redis, "list", load(keep), query, LIMIT, ascending=ascending)


def whole(count, keep, ascending):
    """The same list where it is here whole."""
    places = sorted((number // 4, b"m%03d" % number) for number in range(count) if keep(number))

    async def page(query):
        return paged([member for _, member in places], lambda one: (int(one[1:]) // 4, one), query, LIMIT)

    return page


@pytest.mark.parametrize("count", [0, 1, 10, 11, 137])
@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize(("kept", "ascending"), [(in_redis, False), (in_redis, True), (whole, True)])
async def test_next_and_previous_show_the_same_pages(count, every, kept, ascending, monkeypatch):
    monkeypatch.setattr(paging, "AT_ONCE", 7)
    expected = [number for number in range(count) if number % every == 0][:: 1 if ascending else -1]

    def keep(number):
        return number % every == 0

    pages = kept(count, keep, ascending)
    forward, last = await walk(pages, {}, "next")
    assert [one for page in forward for one in page] == expected
    assert all(len(page) == LIMIT for page in forward[:-1])
    back, _ = await walk(pages, last, "previous")
    assert back[-1] == forward[0]
    shown = [one for page in back[::-1] for one in page]
    assert sorted(set(shown), reverse=not ascending) == expected


async def test_the_page_before_goes_back_to_the_first_where_that_has_room_for_all():
    page = await listed(Redis(30), "list", load(lambda number: True), {"newer": "6.bTAyNA=="}, LIMIT)
    assert page.previous is None
    assert [int(one[1:]) for one in page.items] == list(range(29, 19, -1))


async def test_looking_ends_at_its_bound_and_the_next_page_goes_on(monkeypatch):
    monkeypatch.setattr(paging, "AT_ONCE", 10)
    monkeypatch.setattr(paging, "MOST_LOOKED_AT", 20)
    page = await listed(Redis(100), "list", load(lambda number: number == 1), {}, LIMIT)
    assert (page.items, page.stopped) == ([], True)
    pages, _ = await walk(in_redis(100, lambda number: number == 1, False), {}, "next")
    assert [one for page in pages for one in page] == [1]


async def test_a_list_that_begins_at_a_time_shows_nothing_newer_on_any_page():
    query = {}
    for _ in range(3):
        page = await listed(Redis(100), "list", load(lambda number: True), query, LIMIT, top=(10, b""))
        assert all(int(one[1:]) < 40 for one in page.items)
        query = {"cursor": page.next["cursor"]}
    back = await listed(Redis(100), "list", load(lambda number: True), page.previous, LIMIT, top=(10, b""))
    assert all(int(one[1:]) < 40 for one in back.items)


@pytest.mark.parametrize("name", ["cursor", "newer"])
async def test_a_cursor_that_no_page_gave_is_refused(name):
    with pytest.raises(Problem, match="cursor"):
        await listed(Redis(3), "list", load(lambda number: True), {name: "nonsense"}, LIMIT)


def test_links_to_other_pages_keep_every_filter():
    links = Links("/console/turns", [("mode", "strict"), ("identity", "a b"), ("cursor", "1.x")])
    assert links.with_(newer="2.y", cursor=None) == "/console/turns?mode=strict&identity=a+b&newer=2.y"
