"""Offsets that hold no record: markers of transactions and aborted records, as a unit's port and inbox pass them."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds, Since
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.merge_buffer import MergeBuffer
from endocrine.pipeline.runtime.worker.kafka_broker_port import DOUBLINGS, LOOK_S, KafkaBrokerPort
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager


def raw(offset, size=1):
    return Fetched(0, offset, offset, b"k", b"x" * size)


class Broker:
    """What stands on the topic, for whoever reads it again."""

    def __init__(self, records=(), end=0):
        self.settings = Settings()
        self.records, self.end, self.asked = records, end, []
        self.questions = 0

    async def read(self, topic, partition, start, end):
        self.asked.append((start, end))
        found = [one for one in self.records if start <= one.offset < end]
        for place in range(0, len(found), 10):
            yield found[place : place + 10]

    async def ends(self, places):
        self.questions += 1
        return dict.fromkeys(places, self.end)


@pytest.fixture
def pressed():
    return []


@pytest.fixture
def port(pressed):
    def made(broker):
        return KafkaBrokerPort(broker, "agent", 0, ["in"], on_pressure=pressed.append, buffer_bytes=1000)

    return made


async def test_markers_between_and_after_records_are_passed_without_reading_again(port):
    broker = Broker()
    one = port(broker)
    await one.seek({"in": 3})
    one.arrive("in", [raw(3)], 3, 5)
    one.arrive("in", [], 5, 7)
    one.arrive("in", [raw(9)], 7, 12)
    runs = await one.fetch(wait=False)
    assert [([one.offset for one in run.records], run.next_offset) for run in runs] == [([3], 5), ([], 7), ([9], 12)]
    assert broker.asked == []
    buffer = MergeBuffer(("in",))
    buffer.clear({"in": 3})
    for run in runs:
        buffer.add(*run)
    assert buffer.next_offsets == {"in": 12}
    assert one.done("in") == 3, "what was handed on is not done with"
    await one.commit({"in": 4})
    assert one.done("in") == 4
    await one.commit({"in": 10})
    assert one.done("in") == 12, "only markers lie behind the last record"


async def test_what_was_fetched_beyond_a_gap_waits_until_the_gap_was_read(port):
    one = port(broker := Broker([raw(1)]))
    await one.seek({"in": 0})
    one.arrive("in", [raw(6)], 5, 7)
    runs = await one.fetch(wait=False)
    assert broker.asked == [(0, 5)]
    assert [[one.offset for one in run.records] for run in runs] == [[1], [], [6]]
    assert runs[-1].next_offset == 7


@pytest.mark.parametrize(("hole", "after"), [(3, 4), (3, 9)], ids=["one offset", "six offsets"])
@pytest.mark.parametrize("earlier", [True, False], ids=["in a fetch", "at its beginning"])
async def test_a_hole_in_a_fetch_is_read_again_and_nothing_that_was_delivered_is(port, hole, after, earlier):
    missed = [raw(offset) for offset in range(hole, after)]
    one = port(broker := Broker([raw(2), *missed, raw(after)]))
    await one.seek({"in": 2 if earlier else hole})
    if earlier:
        one.arrive("in", [raw(2)], 2, hole)
    one.arrive("in", [raw(after)], after, after + 1)
    runs = await one.fetch(wait=False)
    assert broker.asked == [(hole, after)]
    handed = [record.offset for run in runs for record in run.records]
    assert handed == [*([2] if earlier else []), *range(hole, after), after]
    await one.commit({"in": after + 1})
    assert one.done("in") == after + 1
    one.arrive("in", [raw(after + 1)], after + 1, after + 2)
    await one.fetch(wait=False)
    assert broker.asked == [(hole, after)], "a hole that was filled is not read a second time"


async def test_a_hole_whose_records_are_gone_is_passed_once(port):
    one = port(broker := Broker())
    await one.seek({"in": 0})
    one.arrive("in", [raw(3)], 3, 4)
    runs = await one.fetch(wait=False)
    assert [(len(run.records), run.next_offset) for run in runs] == [(0, 3), (1, 4)]
    assert broker.asked == [(0, 3)]


async def test_a_gap_is_read_again_a_buffer_at_a_time_and_what_lies_behind_it_waits(port, pressed):
    one = port(Broker([raw(offset, 150) for offset in range(45)]))
    await one.seek({"in": 0})
    one.arrive("in", [raw(45, 2000)], 45, 46)
    assert pressed == [True]
    handed = []
    while not handed or handed[-1] < 45:
        runs = await one.fetch(wait=False)
        records = [record.offset for run in runs for record in run.records]
        assert 0 < len(records) <= 11
        handed += records
        assert pressed == ([True] if handed[-1] < 45 else [True, False])
    assert handed == list(range(46))


async def test_what_did_not_arrive_is_read_a_buffer_at_a_time(port):
    one = port(Broker([raw(offset, 150) for offset in range(45)], end=46))
    await one.seek({"in": 0})
    pieces = [await one._undelivered() for _ in range(5)]
    assert [sum(len(run.records) for run in runs) for runs in pieces] == [10, 10, 10, 10, 5]
    assert pieces[-1][-1].next_offset == 46
    assert await one._undelivered() == ()


async def test_where_nothing_arrives_markers_at_the_end_are_passed_too(port):
    one = port(Broker(end=4))
    await one.seek({"in": 2})
    one._news.set()
    (run,) = await one._undelivered()
    assert (run.records, run.next_offset) == ((), 4)
    assert one.done("in") == 4


async def test_keys_and_headers_count_for_the_pressure_too(port, pressed):
    one = port(Broker())
    await one.seek({})
    one.arrive("in", [SimpleNamespace(offset=0, key=b"k" * 600, value=None, headers=[("h", b"x" * 600)])], 0, 1)
    assert pressed == [True]


async def test_processors_look_at_ends_at_the_same_moments_and_the_longer_nothing_comes_the_less_often(port):
    one, other = port(Broker()), port(Broker())
    clock = asyncio.get_running_loop().time
    pauses = []
    for looks in range(8):
        one._looks = other._looks = looks
        every = LOOK_S * 2 ** min(looks // 2, DOUBLINGS)
        before = clock()
        assert one._next_look() == pytest.approx(other._next_look(), abs=every)
        assert before + LOOK_S <= one._next_look() <= clock() + LOOK_S + every
        assert one._next_look() % every == 0
        pauses.append(every)
    assert pauses == [5, 5, 10, 10, 20, 20, 20, 20]
    await one.seek({"in": 0})
    one._looks = 5
    one.arrive("in", [raw(0)], 0, 1)
    await one.fetch(wait=True)
    assert one._looks == 0


async def test_a_port_says_when_more_is_done_than_before(port):
    one = port(Broker(end=4))
    for step in (
        one.seek({"in": 2}),
        one.commit({"in": 3}),
        one._undelivered(),
    ):
        one.moved = False
        await step
        assert one.moved
    one.moved = False
    assert await one._undelivered() == ()
    assert not one.moved


async def test_the_group_hears_of_what_moved_once_and_again_where_it_did_not_hear(port, tmp_path):
    committed, answers = [], [False, KafkaConnectionError(), True]

    async def commit_now(news):
        committed.append({place.topic: offset for place, offset in news.items()})
        if isinstance(answer := answers.pop(0), KafkaConnectionError):
            raise answer
        return answer

    agent = SimpleNamespace(name="agent", sources=("in",))
    manager = ProcessorManager(Settings(), [agent], None, lambda: None, "v", simulated_seals(), None)
    manager.consumer = SimpleNamespace(commit_now=commit_now)
    manager._ports["agent", 0] = one = port(Broker())
    await one.seek({"in": 5})
    await manager.commit()
    with pytest.raises(KafkaConnectionError):
        await manager.commit()
    await manager.commit()
    await manager.commit()
    assert committed == [{"endocrine.in": 5}] * 3, "what was heard is not said again"


PLACE = TopicPartition("endocrine.in", 0)


def fetch(ends, written):
    """A fetch and its answer."""
    ends.answered(1, ends.next(), (PLACE,), [(PLACE, written, written)])


async def test_an_end_that_a_later_fetch_told_is_not_asked_for(port):
    one, ends = port(broker := Broker(end=8)), FetchedEnds()
    await one.seek({"in": 3})
    fetch(ends, 4)
    one.arrive("in", [raw(3)], 3, 4, since=Since(ends, ends.sent))
    assert (await one.ends(["in"]), broker.questions) == ({"in": 8}, 1)
    fetch(ends, 6)
    assert (await one.ends(["in"]), broker.questions) == ({"in": 6}, 1)


async def test_after_a_seek_and_for_what_was_read_again_fetches_of_before_tell_nothing(port):
    one, ends = port(broker := Broker([raw(1)], end=8)), FetchedEnds()
    await one.seek({"in": 0})
    one.arrive("in", [raw(6)], 5, 7, since=Since(ends, ends.sent))
    fetch(ends, 7)
    await one.fetch(wait=False)
    assert broker.asked == [(0, 5)]
    assert (await one.ends(["in"]), broker.questions) == ({"in": 8}, 1)
    fetch(ends, 7)
    assert (await one.ends(["in"]), broker.questions) == ({"in": 7}, 1)
    await one.seek({"in": 7})
    assert (await one.ends(["in"]), broker.questions) == ({"in": 8}, 2)
