"""From Kafka topics to Redis keys, with a Redis that is killed, flushed and started again."""

import asyncio
import contextlib

import orjson
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.views.redis import Projection, ProjectionError, keys, views, writes
from endocrine.pipeline.views.redis.store import NOTHING, Batch, Store, clear
from waiting import until

TOPICS = {name: CATALOGUE[name].cleanup for name in writes.TOPICS}
STYLE = {
    "identity": "ann",
    "temperature_delta": 0.05,
    "top_p_delta": 0.05,
    "memory_write_boost": 0.02,
    "verbosity_bias": 0.1,
    "cards": 1,
    "intents": {"affirm": 1, "reject": 0, "more_detail": 0, "soften": 0, "ground": 0},
    "locked": False,
    "unknown_actions": 0,
    "ts": 5.0,
}


def bond(user="ann", **fields):
    return {"user_id": user, "phase": "dormant", "turn_count": 0} | fields


def event(number, user="ann"):
    data = {"old": number - 1, "new": number}
    return {"identity": user, "timestamp": float(number), "event_type": "risk_change", "detail": "é", "data": data}


def state(value, primitive="motor.pace", identity="ann"):
    return {
        "identity": identity,
        "primitive": primitive,
        "state": "stable",
        "current_value": value,
        "confidence": 1.0,
        "observation_count": 3,
        "last_change_ts": 1.0,
        "last_observation_ts": 3.0,
    }


class Lab:
    """Topics of a test on the broker, and projections to the test's Redis."""

    def __init__(self, wire, producer, settings, server):
        self.wire = wire
        self.settings = settings
        self.redis = server.client
        self._producer = producer
        self._running = []

    async def send(self, topic, key, value, origin=None):
        raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
        headers = [("ce_id", b"an id")] + ([("endocrine-origin", origin.encode())] if origin else [])
        await self._producer.send_and_wait(self.wire.prefix + topic, raw, key.encode(), partition=0, headers=headers)
        return raw

    async def events(self, count, first=0):
        for number in range(first, first + count):
            await self.send("bond-events", "ann", event(number), f"bonds/t.detections/0/{number}/1")

    def project(self):
        projection = Projection(self.settings)
        task = asyncio.create_task(projection.run())
        self._running.append((projection, task))
        return projection, task

    async def numbers(self):
        return [found["timestamp"] for found in await views.bond_events(self.redis, "ann", 10_000)]

    async def close(self):
        for projection, task in self._running:
            if not task.done():
                await projection.stop()
            with contextlib.suppress(ProjectionError):
                await task


@pytest.fixture
async def lab(wire, settings, server):
    for topic, cleanup in TOPICS.items():
        await wire.topic(topic, cleanup_policy=cleanup)
    mine = settings.model_copy(
        update={"redis_url": server.url, "redis_events_kept": 1000, "redis_timeout_s": 2, "commit_interval_s": 0.1}
    )
    made = Lab(wire, await wire.producer(), mine, server)
    yield made
    await made.close()


async def test_the_keys_have_exactly_the_forms_that_dashboards_read(lab, eventually):
    first = await lab.send("bonds", "ann", bond(notes=["é"], peak_nodes={"n": 0.5}))
    await lab.events(2)
    pace = await lab.send("attribution-states", "ann/motor.pace", state("fast"))
    gait = await lab.send("attribution-states", "ann/motor.gait", state(1.5, "motor.gait"))
    style = await lab.send("style-tables", "ann", STYLE)
    last = await lab.send("bonds", "bob", bond("bob"))
    lab.project()
    await eventually(lambda: lab.redis.exists("endocrine:style:ann"))
    await eventually(lambda: lab.redis.exists("abl:bob"))
    await eventually(lambda: lab.redis.hexists("endocrine:attribution:ann", "motor.gait"))
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 1, 1))
    assert await lab.redis.get("abl:ann") == first
    assert await lab.redis.get("abl:bob") == last
    assert await lab.redis.get("endocrine:style:ann") == style
    assert await lab.redis.hgetall("endocrine:attribution:ann") == {b"motor.pace": pace, b"motor.gait": gait}
    newest, oldest = await lab.redis.lrange("abl:events:ann", 0, -1)
    assert orjson.loads(newest)["timestamp"] == 1.0
    assert oldest == b'{"timestamp":0.0,"event_type":"risk_change","detail":"\xc3\xa9","data":{"old":-1,"new":0}}'
    assert set(await lab.redis.keys("abl:*")) == {b"abl:ann", b"abl:bob", b"abl:events:ann"}
    read = await views.bond(lab.redis, "ann")
    assert (read.phase, read.daily_msg_cap, read.notes) == ("dormant", 0, ["é"])
    assert list(await views.attribution(lab.redis, "ann")) == ["motor.gait", "motor.pace"]
    assert (await views.style(lab.redis, "ann"))["cards"] == 1


def noticed(logs):
    """Whether the projection has found that Redis is away."""
    return any(entry["event"].startswith("redis does not answer") for entry in logs)


async def test_an_event_that_is_spoken_again_at_new_offsets_is_listed_once(lab, eventually):
    await lab.events(3)
    await lab.events(2, first=1)
    await lab.events(3, first=2)
    lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 4, 4))
    assert await lab.numbers() == [4, 3, 2, 1, 0]


async def test_redis_killed_for_a_while_loses_nothing_and_is_told_of_once(lab, server, eventually):
    with structlog.testing.capture_logs() as logs:
        await lab.events(20)
        lab.project()
        await eventually(lambda: lab.redis.lrange("abl:events:ann", 19, 19))
        await server.kill()
        await lab.events(20, first=20)
        entry = await lab.send("bonds", "ann", bond(turn_count=9))
        await until(lambda: noticed(logs))
        await server.start()
        await eventually(lambda: lab.redis.get("abl:ann"))
        await eventually(lambda: lab.redis.lrange("abl:events:ann", 39, 39))
    assert await lab.numbers() == list(range(39, -1, -1))
    assert await lab.redis.get("abl:ann") == entry
    told = [entry["event"].partition(";")[0] for entry in logs if "redis" in entry["event"]]
    # A Redis that was killed may have lost its last second, and is then told of for that too.
    assert [text for text in told if "lost" not in text] == ["redis does not answer", "redis answers again"]
    assert not [entry for entry in logs if "retry" in entry["event"]]


async def test_the_group_hears_of_an_offset_only_after_redis_has_it(lab, server, eventually):
    await server.kill()
    await lab.events(3)
    with structlog.testing.capture_logs() as logs:
        lab.project()
        await until(lambda: noticed(logs))

    async def committed():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=lab.settings.bootstrap,
            group_id=f"{lab.settings.group}.projection",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            return await consumer.committed(TopicPartition(lab.wire.prefix + "bond-events", 0))
        finally:
            await consumer.stop()

    assert await committed() is None
    await server.start()

    async def all_committed():
        return await committed() == 3

    await eventually(all_committed)
    assert await lab.numbers() == [2, 1, 0]


async def test_it_stops_while_redis_is_away_and_goes_on_where_it_was(lab, server, eventually):
    await lab.events(2)
    projection, task = lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 1, 1))
    with structlog.testing.capture_logs() as logs:
        await server.kill()
        await lab.events(1, first=2)
        await until(lambda: noticed(logs))
    async with asyncio.timeout(10):
        await projection.stop()
        await task
    await server.start()
    lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    assert await lab.numbers() == [2, 1, 0]


async def test_a_redis_that_was_flushed_is_filled_again_by_itself(lab, eventually):
    await lab.events(3)
    await lab.send("bonds", "ann", bond())
    lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    await eventually(lambda: lab.redis.get("abl:ann"))
    await lab.redis.flushall()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    await eventually(lambda: lab.redis.get("abl:ann"))
    await lab.redis.flushall()
    await lab.events(1, first=3)
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 3, 3))
    assert await lab.numbers() == [3, 2, 1, 0]


async def test_a_rebuild_fills_what_was_damaged_by_hand(lab, eventually):
    await lab.events(3)
    lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    await lab.redis.lpop("abl:events:ann")
    await lab.redis.set("abl:of another program", "x")
    assert await clear(lab.settings) == 1
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    assert await lab.numbers() == [2, 1, 0]
    assert await lab.redis.get("abl:of another program") == b"x"


async def test_a_second_run_does_not_read_what_was_projected_already(lab, eventually):
    await lab.events(2)
    await lab.send("bonds", "ann", bond())
    projection, _ = lab.project()
    await eventually(lambda: lab.redis.get("abl:ann"))
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 1, 1))
    await projection.stop()
    await lab.redis.delete("abl:ann", keys.guard("abl:ann"))
    lab.project()
    await lab.events(1, first=2)
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 2, 2))
    assert await lab.redis.get("abl:ann") is None


async def test_a_tombstone_deletes(lab, eventually):
    await lab.send("style-tables", "ann", STYLE)
    await lab.send("attribution-states", "an/n/motor.pace", state("x", identity="an/n"))
    await lab.send("attribution-states", "an/n/motor.gait", state("x", "motor.gait", "an/n"))
    await lab.send("bonds", "ann", bond())
    await lab.events(1)
    lab.project()
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 0, 0))
    await eventually(lambda: lab.redis.get("abl:ann"))
    await lab.send("style-tables", "ann", None)
    await lab.send("attribution-states", "an/n/motor.pace", None)
    await lab.send("bonds", "ann", None)

    async def gone():
        left = await lab.redis.exists("abl:ann", "abl:events:ann", "endocrine:style:ann")
        return not left and await lab.redis.hkeys("endocrine:attribution:an/n") == [b"motor.gait"]

    await eventually(gone)


async def test_a_record_that_cannot_be_read_is_told_of_and_its_neighbours_are_projected(lab, eventually):
    with structlog.testing.capture_logs() as logs:
        await lab.send("bonds", "ann", bond())
        for bad in (b"not json", orjson.dumps(bond(phase=7)), b"[1]", orjson.dumps(bond("eve"))):
            await lab.send("bonds", "ann", bad)
        await lab.send("bonds", "events:bob", bond("events:bob"))
        await lab.send("bonds", "bob", bond("bob"))
        lab.project()
        await eventually(lambda: lab.redis.get("abl:bob"))
    assert sorted(key.decode() for key in await lab.redis.keys("abl:*")) == ["abl:ann", "abl:bob"]
    told = [(entry["record"].rpartition("/")[2], entry["kind"]) for entry in logs if "record" in entry]
    assert told == [("1", "not_json"), ("2", "invalid"), ("3", "invalid"), ("4", "key"), ("5", "identity")]


async def test_a_topic_that_ends_before_what_redis_holds_is_a_clear_error(lab, server):
    async with Store(lab.settings) as store:
        await store.apply(Batch(f"{lab.wire.prefix}bonds/0", NOTHING, 41, []))
    _, task = lab.project()
    with pytest.raises(ProjectionError, match=r"bonds/0 up to offset 41, .* ends at 0.*--rebuild"):
        async with asyncio.timeout(120):
            await task


async def test_two_projections_of_one_group_share_the_work_and_one_takes_over(lab, eventually):
    # No commit falls between one leaving and the other hearing of it: see the test below.
    lab.settings = lab.settings.model_copy(update={"commit_interval_s": 60})
    first, _ = lab.project()
    lab.project()
    await lab.events(50)
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 49, 49))
    await first.stop()
    await lab.events(50, first=50)
    await eventually(lambda: lab.redis.lrange("abl:events:ann", 99, 99))
    assert await lab.numbers() == list(range(99, -1, -1))


async def test_without_a_redis_url_the_error_says_what_to_set(lab):
    with pytest.raises(ValueError, match="ENDOCRINE_REDIS_URL"):
        Projection(lab.settings.model_copy(update={"redis_url": None}))
