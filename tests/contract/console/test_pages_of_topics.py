"""Pages of a topic on Kafka: every record on exactly one of them, forward and back, whatever the filters leave."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from endocrine.pipeline.console.browsing.filters import filter_of
from endocrine.pipeline.console.browsing.query import Browse
from endocrine.pipeline.console.browsing.scan import Bounds, scan
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
from topic_records import caller

COUNTS = (70, 3, 40)
"""Records of each partition."""
SMALL = Bounds(records=10, looked_at=60)


@pytest.fixture
async def filled(settings, admin: AIOKafkaAdminClient):
    """Topic `signals` with three partitions, every fifth record of key `rare`, half of the markers between them."""
    await admin.create_topics([NewTopic(settings.prefix + "signals", len(COUNTS), 1)])
    making = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, transactional_id=settings.prefix + "maker")
    await making.start()
    try:
        for number in range(max(COUNTS)):
            async with making.transaction():
                for partition, count in enumerate(COUNTS):
                    if number < count:
                        key = b"rare" if number % 5 == 0 else b"usual"
                        value = b'{"partition":%d,"number":%d}' % (partition, number)
                        await making.send(settings.prefix + "signals", value, key, partition)
    finally:
        await making.stop()
    return settings


async def walk(settings, browse, step, bounds=SMALL, most=60):
    """The records of all pages from one on; step: `older` or `newer`."""
    pages = []
    while len(pages) < most:
        async with filter_of(caller("read", "content"), browse) as meant:
            found = await scan(settings, browse, meant.kept, bounds)
        assert len(found.records) <= bounds.records
        pages.append([(raw.partition, raw.offset) for raw in found.records])
        if not getattr(found, step):
            return pages, found
        places = {"before": found.lower, "after": None} if step == "older" else {"after": found.upper, "before": None}
        browse = Browse(**{**browse.__dict__, **places})
    raise AssertionError("the pages do not end")


async def test_every_record_is_on_exactly_one_page_forward_and_back(filled):
    rare = sum(len(range(0, count, 5)) for count in COUNTS)
    for more, expected in (({}, sum(COUNTS)), ({"key": "rare"}, rare), ({"field": "number", "equals": "1"}, 3)):
        back, last = await walk(filled, Browse("signals", **more), "older")
        flat = [one for page in back for one in page]
        assert len(flat) == len(set(flat)) == expected, more
        on, _ = await walk(filled, Browse("signals", after=last.lower, **more), "newer")
        again = [one for page in on for one in page]
        assert len(again) == len(set(again)) == expected, more
        assert set(again) == set(flat)


async def test_the_newest_page_holds_the_newest_and_a_page_from_an_offset_begins_there(filled):
    (newest, *_), _ = await walk(filled, Browse("signals"), "older")
    assert {partition for partition, _ in newest} == {0}  # the others ended before
    (first, *_), _ = await walk(filled, Browse("signals", partition=2, offset=10), "newer")
    assert first == sorted(first)
    assert first[0] >= (2, 10)
    assert {partition for partition, _ in first} == {2}


async def test_a_page_is_cut_by_bytes_and_the_next_one_goes_on(filled):
    pages, _ = await walk(filled, Browse("signals"), "older", Bounds(records=50, bytes=200), most=200)
    flat = [one for page in pages for one in page]
    assert len(flat) == len(set(flat)) == sum(COUNTS)
    assert max(len(page) for page in pages) < 12


async def test_a_partition_that_is_not_there_is_named(filled):
    with pytest.raises(NoSuchTopic, match="no partition 7"):
        await walk(filled, Browse("signals", partition=7), "older")
