"""The script and its guards, on a real Redis."""

import asyncio
import random
import time

import pytest
import structlog

from endocrine.pipeline.views.redis import keys, views, waiting
from endocrine.pipeline.views.redis.erasing import erase_views
from endocrine.pipeline.views.redis.store import NOTHING, Batch, Store, clear, take_over
from endocrine.pipeline.views.redis.writes import Counted, Listing, Write


def put(offset, value, key="abl:ann", mark="bonds/0"):
    return Write("set", key, mark, offset, value=value.encode())


def push(offset, value, ordinal=0, key="abl:events:ann", mark="bond-events/0<bonds/detections/0"):
    return Write("push", key, mark, offset, ordinal, value=value.encode())


async def apply(settings, *writes, source="bonds/0", start=NOTHING, end=1):
    async with Store(settings) as store:
        return await store.apply(Batch(source, start, end, writes))


async def test_an_older_offset_never_overwrites_a_newer_one(server, redis_settings):
    await apply(redis_settings, put(7, "new"))
    await apply(redis_settings, put(6, "old"))
    await apply(redis_settings, put(7, "same offset again"))
    assert await server.client.get("abl:ann") == b"new"
    await apply(redis_settings, put(8, "newer"))
    assert await server.client.get("abl:ann") == b"newer"


async def test_offsets_are_compared_as_numbers_however_large(server, redis_settings):
    await apply(redis_settings, put(9, "nine"))
    await apply(redis_settings, put(10, "ten"))
    assert await server.client.get("abl:ann") == b"ten"
    await apply(redis_settings, put(2**53 - 1, "last"), end=2**53 - 1)
    await apply(redis_settings, put(2**53 - 2, "before"), end=2**53 - 2)
    assert await server.client.get("abl:ann") == b"last"
    async with Store(redis_settings) as store:
        assert await store.positions(["bonds/0", "bonds/1"]) == [2**53 - 1, NOTHING]


async def test_an_event_is_pushed_once_by_its_origin_and_ordinal(server, redis_settings):
    await apply(redis_settings, push(4, "a", 0), push(4, "b", 1), push(9, "c", 0))
    await apply(redis_settings, push(4, "a", 0), push(4, "b", 1), push(9, "c", 0), push(9, "d", 1))
    assert await server.client.lrange("abl:events:ann", 0, -1) == [b"d", b"c", b"b", b"a"]
    # Another origin counts for itself.
    await apply(redis_settings, push(1, "e", mark="bond-events/0<bonds/commands/0"))
    assert await server.client.lrange("abl:events:ann", 0, 1) == [b"e", b"d"]


async def test_the_list_is_trimmed_to_its_bound_and_read_newest_first(server, redis_settings):
    await apply(redis_settings, *(push(n, f'{{"n":{n}}}') for n in range(12)))
    assert [event["n"] for event in await views.bond_events(server.client, "ann")] == [11, 10, 9, 8, 7]
    assert [event["n"] for event in await views.bond_events(server.client, "ann", 2)] == [11, 10]
    with pytest.raises(ValueError, match="limit 0"):
        await views.bond_events(server.client, "ann", 0)


async def test_a_tombstone_deletes_and_what_is_older_does_not_come_back(server, redis_settings):
    await apply(redis_settings, put(3, "x"))
    await apply(redis_settings, Write("del", "abl:ann", "bonds/0", 5))
    assert await server.client.get("abl:ann") is None
    await apply(redis_settings, put(4, "late"))
    assert await server.client.get("abl:ann") is None
    assert 0 < await server.client.ttl(keys.guard("abl:ann")) <= 86_400
    await apply(redis_settings, put(6, "back"))
    assert await server.client.get("abl:ann") == b"back"
    assert await server.client.ttl(keys.guard("abl:ann")) == -1


async def test_primitives_of_one_identity_have_marks_of_their_own(server, redis_settings):
    key = keys.attribution("ann")

    def state(verb, offset, primitive, value=b""):
        return Write(verb, key, f"attribution-states/0#{primitive}", offset, 0, primitive, value)

    await apply(redis_settings, state("hset", 9, "pace", b"1"), state("hset", 3, "gait", b"2"))
    await apply(redis_settings, state("hset", 4, "gait", b"3"), state("hset", 8, "pace", b"0"))
    assert await server.client.hgetall(key) == {b"pace": b"1", b"gait": b"3"}
    await apply(redis_settings, state("hdel", 10, "pace"))
    assert await server.client.hgetall(key) == {b"gait": b"3"}
    await apply(redis_settings, state("hdel", 11, "gait"))
    assert not await server.client.exists(key)


async def test_a_batch_that_follows_on_what_redis_lost_is_refused_whole(server, redis_settings):
    assert await apply(redis_settings, put(3, "x"), end=4)
    await server.client.flushdb()
    assert not await apply(redis_settings, put(4, "y"), start=4, end=5)
    assert await server.client.keys() == []
    assert await apply(redis_settings, put(3, "x"), end=4)
    assert await apply(redis_settings, put(4, "y"), start=4, end=5)
    assert await server.client.get("abl:ann") == b"y"


async def test_a_position_never_goes_back(server, redis_settings):
    await apply(redis_settings, end=9)
    await apply(redis_settings, end=4)
    async with Store(redis_settings) as store:
        assert await store.positions(["bonds/0"]) == [9]


async def test_a_key_of_another_type_is_left_alone_and_its_neighbours_are_written(server, redis_settings):
    await server.client.set("abl:events:ann", "mine")
    assert await apply(redis_settings, push(1, "a"), push(1, "b", key="abl:events:bob"), put(2, "x"))
    assert await server.client.get("abl:events:ann") == b"mine"
    assert await server.client.lrange("abl:events:bob", 0, -1) == [b"b"]
    assert await server.client.get("abl:ann") == b"x"


def entry(offset, user="ann", at=1.0):
    value = f'{{"user_id":"{user}","phase":"{"ab"[offset % 2]}","last_updated":{at}}}'
    return Write("bond", f"abl:{user}", "bonds/0", offset, 0, str(round(at * 1000)), value.encode())


async def test_a_key_without_its_guard_is_never_overwritten_and_is_named_once(server, redis_settings):
    await server.client.set("abl:ann", "older")
    await server.client.rpush("abl:events:ann", "old event")
    with structlog.testing.capture_logs() as logs:
        for offset in (1, 2):
            bob = (entry(offset, "bob"), push(offset, f"e{offset}", key="abl:events:bob"))
            assert await apply(redis_settings, entry(offset), push(offset, "a"), *bob)
        await apply(
            redis_settings, Write("unbond", "abl:ann", "bonds/0", 3), Write("del", "abl:events:ann", "bonds/0", 3)
        )
    assert await server.client.get("abl:ann") == b"older"
    assert await server.client.lrange("abl:events:ann", 0, -1) == [b"old event"]
    assert await server.client.lrange("abl:events:bob", 0, -1) == [b"e2", b"e1"]
    assert await server.client.zrange(keys.bonds_index(), 0, -1) == [b"bob"]
    assert await views.foreign_keys(server.client) == 2
    assert [log["key"] for log in logs if "foreign" in log["event"]] == ["abl:ann", "abl:events:ann"]


async def test_a_foreign_key_that_its_owner_deleted_is_ours_from_the_next_write_on(server, redis_settings):
    await server.client.set("abl:ann", "older")
    await apply(redis_settings, entry(1))
    await server.client.delete("abl:ann")
    await apply(redis_settings, entry(2))
    assert await views.foreign_keys(server.client) == 0
    assert await server.client.zrange(keys.bonds_index(), 0, -1) == [b"ann"]


async def test_what_others_write_where_we_deleted_is_theirs(server, redis_settings):
    await apply(redis_settings, entry(1))
    await apply(redis_settings, Write("unbond", "abl:ann", "bonds/0", 2))
    await server.client.set("abl:ann", "another program's")
    await apply(redis_settings, entry(3))
    assert await server.client.get("abl:ann") == b"another program's"


async def test_taking_over_lets_the_topics_write_entry_and_events_once(server, redis_settings):
    await server.client.set("abl:ann", "older")
    await server.client.rpush("abl:events:ann", "old event")
    written = (entry(1), push(1, "a"), push(1, "b", 1))
    assert await apply(redis_settings, *written, end=3)
    assert await take_over(redis_settings, ["ann", "nobody"], ["bonds/0"]) == 2
    assert not await apply(redis_settings, entry(3), start=3, end=4)  # the projection is behind: it reads again
    assert await apply(redis_settings, *written, end=3)
    assert await server.client.get("abl:ann") == written[0].value
    assert await server.client.lrange("abl:events:ann", 0, -1) == [b"b", b"a"]
    assert (await views.foreign_keys(server.client), await take_over(redis_settings, ["ann"], ["bonds/0"])) == (0, 0)
    async with Store(redis_settings) as store:
        assert await store.positions(["bonds/0"]) == [3]


@pytest.mark.parametrize("stored", [b"{", b"[]", b'"text"', b'{"daily_msg_cap":"many"}'])
async def test_what_another_program_wrote_and_nobody_can_read_is_no_bond(server, redis_settings, stored):
    await server.client.set("abl:ann", stored)
    await server.client.rpush("abl:events:ann", "{", '{"timestamp":1}')
    assert await views.bond(server.client, "ann") is None
    assert await views.bond_events(server.client, "ann") == [{"timestamp": 1}]


async def test_a_partial_form_of_another_program_is_read_with_defaults(server, redis_settings):
    await server.client.set("abl:ann", b'{"phase":"bonded","last_updated":5,"mood":"odd"}')
    read = await views.bond(server.client, "ann")
    assert (read.user_id, read.phase, read.last_updated, read.risk_level) == ("ann", "bonded", 5.0, "low")


async def test_bonds_are_listed_by_their_last_change_in_pages_and_filtered(server, redis_settings):
    users = [f"u{number}" for number in range(9)]
    await apply(redis_settings, *(entry(number, user, at=1000.25 + number) for number, user in enumerate(users)))
    await apply(redis_settings, entry(20, "u0", at=5000.5))
    newest_first = ["u0", *reversed(users[1:])]

    async def walked(limit, **filters):
        found, before = [], None
        while True:
            page = await views.bonds(server.client, limit, before, **({"phase": None, "risk": None} | filters))
            assert len(page.entries) <= limit
            found += [one.user_id for one in page.entries]
            if (before := page.next) is None:
                return found

    for limit in (1, 2, 4, 9, 50):
        assert await walked(limit) == newest_first
        assert await walked(limit, phase="a") == ["u0", "u8", "u6", "u4", "u2"]
        assert await walked(limit, risk="high") == []
    await apply(redis_settings, Write("unbond", "abl:u8", "bonds/0", 30))
    assert "u8" not in await walked(50)


def memory(offset, status, name="m", at=7):
    listing = Listing(keys.candidates_index(), f'["ann","{name}"]', at if status == "candidate" else None)
    value = f'{{"memory_id":"{name}","status":"{status}"}}'.encode()
    return Write("hset", keys.memories("ann"), f"memories/0#{name}", offset, 0, name, value, listing)


async def test_a_candidate_that_left_the_list_does_not_come_back_with_an_older_record(server, redis_settings):
    await apply(redis_settings, memory(1, "candidate"), memory(2, "candidate", "n", at=5))

    async def listed(limit, beyond=None):
        page = await views.page_places(server.client, keys.candidates_index(), limit, beyond, ascending=True)
        found = await waiting.candidates(server.client, [member for _, member in page.places])
        return [one and one["memory_id"] for one in found], page.next

    found, after = await listed(1)
    assert (found, after) == (["n"], (5, b'["ann","n"]'))
    assert await listed(1, after) == (["m"], None)
    await apply(redis_settings, memory(3, "active"))
    await apply(redis_settings, memory(1, "candidate"))
    assert await listed(9) == (["n"], None)
    assert await waiting.candidates(server.client, [b'["ann","gone"]', b'["ann","n"]']) != [None, None]
    assert (await waiting.candidates(server.client, [b'["ann","gone"]']))[0] is None
    assert await server.client.ttl(keys.candidates_index()) == -1
    await clear(redis_settings)
    assert await listed(9) == ([], None)


def call(offset, decision, name="c1", expires_ms=5000):
    named = keys.ViewKeys("endocrine.")
    who = waiting.member_of("call", "ann", "a1", name).decode()
    part = f'{{"identity":"ann","decision":"{decision}"}}'.encode()
    listing = Listing(named.approvals(), who, expires_ms if decision == "pending" else None)
    return Write("view", named.turn("a1"), f"d/0#call/{name}", offset, 0, f"call/{name}", part, listing)


async def test_a_call_that_was_decided_does_not_wait_again_and_the_next_deadline_comes_first(server, redis_settings):
    named = keys.ViewKeys("endocrine.")
    await apply(redis_settings, call(1, "pending"), call(2, "pending", "c2", 4000))

    async def listed():
        page = await views.page_places(server.client, named.approvals(), 9, ascending=True)
        return await waiting.approvals(server.client, named, [member for _, member in page.places])

    found = await listed()
    assert await waiting.count(server.client, named) == 2
    assert [(one.kind, one.call_id, one.expires) for one in found] == [("call", "c2", 4.0), ("call", "c1", 5.0)]
    assert found[0].call["decision"] == "pending"
    await apply(redis_settings, call(4, "denied"))
    await apply(redis_settings, call(1, "pending"))
    gone, found = waiting.member_of("call", "ann", "a1", "c1"), await listed()
    assert [one.call_id for one in found] == ["c2"]
    assert await waiting.approvals(server.client, named, [gone]) == [None]
    assert await waiting.is_waiting(server.client, named, found[0].member)
    assert await server.client.ttl(named.approvals()) > 0


NOW = 1_800_000_000
DEPLOYED = keys.ViewKeys("endocrine.")


def closed(offset, audit_id, identity, tokens, at=NOW, partition=0):
    counted = Counted(DEPLOYED.spend_prefix, identity, tokens, at)
    source = f"interactions/{partition}#closed"
    return Write("view", DEPLOYED.turn(audit_id), source, offset, 0, "closed", b"{}", None, counted)


async def test_spend_is_counted_once_for_each_turn_whatever_comes_again(server, redis_settings):
    async def spent(span, now=NOW, most=9):
        return await views.spend(server.client, DEPLOYED, span, now, most)

    assert await spent(3600) == (NOW - 3600 + 300, 0, [])
    first = [closed(1, "a1", "ann", 30), closed(2, "a2", "bob", 500), closed(3, "a3", "ann", 12, NOW - 7200)]
    for _ in range(2):
        await apply(redis_settings, *first)
    await apply(redis_settings, closed(9, "a1", "ann", 99), closed(9, "a2", "bob", 1, partition=1))  # closed again
    assert (await spent(3600))[1:] == (530, [("bob", 500), ("ann", 30)])
    assert (await spent(86_400))[1:] == (542, [("bob", 500), ("ann", 42)])
    assert (await spent(604_800, most=1))[1:] == (542, [("bob", 500)])
    assert (await spent(3600, NOW + 3601))[1:] == (0, [])
    # Another identity under the same audit id takes nothing from it, and hides nothing of it.
    await apply(redis_settings, closed(10, "a1", " cy\n", 7))
    assert (await spent(3600))[1:] == (537, [("bob", 500), ("ann", 30), (" cy\n", 7)])


async def test_a_step_of_spend_goes_when_no_page_shows_it_any_more(server, redis_settings):
    now = int(time.time())
    await apply(redis_settings, closed(1, "a1", "ann", 5, now), closed(2, "a2", "ann", 5, now - 30 * 86_400))
    steps = [one.decode() async for one in server.client.scan_iter(f"{DEPLOYED.spend_prefix}*")]
    assert sorted(steps) == sorted(f"{DEPLOYED.spend_prefix}{step}:{now // step}" for step in keys.SPEND_STEPS.values())
    for span, step in keys.SPEND_STEPS.items():
        _, shown = DEPLOYED.spend(span, now)
        assert await server.client.ttl(shown[-1]) in range(span, span + step + 1)


async def test_who_spent_is_erased_from_every_step_and_the_sum_stays(server, redis_settings):
    now = int(time.time())
    await apply(redis_settings, closed(1, "a1", "ann", 5, now), closed(2, "a2", "bob", 7, now))
    assert (await erase_views(server.client, DEPLOYED, ["ann"]))["spend"] == len(keys.SPEND_STEPS)
    for span in keys.SPEND_STEPS:
        assert (await views.spend(server.client, DEPLOYED, span, now, 9))[1:] == (12, [("bob", 7)])


async def test_a_listing_whose_key_holds_another_type_is_named_and_the_write_is_done(server, redis_settings):
    await server.client.set(keys.candidates_index(), "mine")
    with structlog.testing.capture_logs() as logs:
        assert await apply(redis_settings, memory(1, "candidate"))
    assert [log["key"] for log in logs] == [keys.candidates_index()]
    assert await server.client.hlen(keys.memories("ann")) == 1


async def test_clearing_deletes_what_was_projected_and_nothing_else(server, redis_settings):
    await server.client.set("abl:elsewhere", "not ours")
    await apply(redis_settings, put(1, "x"), push(1, "a"))
    assert await clear(redis_settings) == 2
    assert await server.client.keys() == [b"abl:elsewhere"]
    assert await apply(redis_settings, put(1, "x"), push(1, "a"))
    assert await server.client.lrange("abl:events:ann", 0, -1) == [b"a"]


@pytest.mark.parametrize("seed", range(8))
async def test_any_replay_by_any_number_of_writers_ends_in_the_newest_state_and_each_event_once(
    server, redis_settings, seed
):
    rng = random.Random(seed)
    settings = redis_settings.model_copy(update={"redis_events_kept": 1000})
    log = [
        put(offset, f"v{offset}", key=f"abl:{rng.choice('ab')}")
        if rng.random() < 0.5
        else push(offset // 2, f"e{offset}", offset % 2)
        for offset in range(60)
    ]

    async def writer():
        # Reads from where Redis says it is or, like one that was paused, from before; in runs of any length.
        async with Store(settings) as store:
            while True:
                [position] = await store.positions(["bonds/0"])
                if position == len(log):
                    return
                start = position if rng.random() < 0.9 else NOTHING
                # What follows on nothing begins at the beginning.
                first = max(0, start - rng.randrange(6))
                end = min(len(log), first + 1 + rng.randrange(9))
                await store.apply(Batch("bonds/0", start, end, log[first:end]))
                if rng.random() < 0.05:
                    await server.client.flushdb()

    await asyncio.gather(writer(), writer(), writer())
    for key in ("abl:a", "abl:b"):
        newest = [write.value for write in log if write.key == key][-1]
        assert await server.client.get(key) == newest
    events = [write.value for write in log if write.verb == "push"]
    assert await server.client.lrange("abl:events:ann", 0, -1) == events[::-1]
