"""What the commit protocol stands on, held against the broker: see docs/brokers.md for why each matters."""

import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from endocrine.pipeline.kafka.clients import READ_WAIT_MS, introduce
from waiting import until

MIB = 1 << 20
BATCH = {"max_batch_size": 16 * MIB, "max_request_size": 17 * MIB}


async def send(producer, topic, count, *, key=b"k", value=b"v", partition=0):
    """One record batch, whole; the base offset the broker answered."""
    batch = producer.create_batch()
    for number in range(count):
        assert batch.append(key=key, value=value + b"%d" % number, timestamp=None) is not None
    future = await producer.send_batch(batch, topic, partition=partition)
    return (await future).offset


@pytest.mark.parametrize("idempotent", [True, False])
async def test_base_offsets_of_a_sole_writer_follow_each_other(wire, idempotent):
    topic = await wire.topic("log", cleanup_policy="compact")
    producer = await wire.producer(enable_idempotence=idempotent, **BATCH)
    bases = [await send(producer, topic, count) for count in (3, 1, 500, 2)]
    assert bases == [0, 3, 4, 504]
    assert await wire.end_offset(topic) == 506


@pytest.mark.parametrize("idempotent", [True, False])
async def test_another_writers_record_shows_as_a_gap(wire, idempotent):
    topic = await wire.topic("log", cleanup_policy="compact")
    ours = await wire.producer(enable_idempotence=idempotent, **BATCH)
    theirs = await wire.producer(enable_idempotence=idempotent)
    assert await send(ours, topic, 5) == 0
    claim = await theirs.send_and_wait(topic, b"claim", key=b"claim", partition=0)
    assert claim.offset == 5
    assert await send(ours, topic, 5) == 6


async def test_a_batch_of_20000_records_is_taken_whole(wire):
    topic = await wire.topic("log", cleanup_policy="compact", max_message_bytes=str(16 * MIB))
    producer = await wire.producer(enable_idempotence=True, **BATCH)
    assert await send(producer, topic, 20_000, value=b"x" * 200) == 0
    assert await send(producer, topic, 1) == 20_000
    records = await wire.read(topic, 20_001)
    assert [record.offset for record in records] == list(range(20_001))
    assert records[19_999].value == b"x" * 200 + b"19999"


async def test_a_batch_too_large_for_the_topic_is_refused_whole(wire):
    topic = await wire.topic("log", max_message_bytes=str(MIB))
    producer = await wire.producer(enable_idempotence=True, **BATCH)
    with pytest.raises(MessageSizeTooLargeError):
        await send(producer, topic, 3000, value=b"x" * 1000)
    assert await wire.end_offset(topic) == 0


async def test_aiokafka_cuts_a_batch_at_max_batch_size(wire):
    """The trap: with aiokafka's default of 16 KiB, append answers None long before max.message.bytes."""
    producer = await wire.producer()
    batch = producer.create_batch()
    taken = sum(batch.append(key=None, value=b"x" * 200, timestamp=None) is not None for _ in range(200))
    assert 0 < taken < 200


async def test_records_are_stamped_with_the_brokers_append_time(wire):
    topic = await wire.topic("times")
    producer = await wire.producer()
    before = time.time() * 1000
    answer = await producer.send_and_wait(topic, b"old", key=b"k", partition=0, timestamp_ms=1000)
    await send(producer, topic, 2)
    records = await wire.read(topic, 3)
    assert answer.timestamp_type == 1
    assert {record.timestamp_type for record in records} == {1}
    assert all(before - 60_000 < record.timestamp < before + 60_000 for record in records)


async def test_a_consumer_can_seek_by_append_time(wire):
    topic = await wire.topic("times")
    producer = await wire.producer()
    first = await producer.send_and_wait(topic, b"1", partition=0, timestamp_ms=10_000_000_000_000)
    await until(lambda: time.time() * 1000 > first.timestamp + 1)
    second = await producer.send_and_wait(topic, b"2", partition=0, timestamp_ms=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=wire.broker.bootstrap)
    await consumer.start()
    try:
        where = TopicPartition(topic, 0)
        found = await consumer.offsets_for_times({where: first.timestamp + 1})
        assert found[where].offset == second.offset
        assert (await consumer.offsets_for_times({where: second.timestamp + 60_000}))[where] is None
    finally:
        await consumer.stop()


async def test_a_record_of_2_mb_is_taken_and_read_back(wire):
    topic = await wire.topic("large", max_message_bytes=str(4 * MIB))
    producer = await wire.producer(max_request_size=8 * MIB)
    value = bytes(range(256)) * 8192
    await producer.send_and_wait(topic, value, key=b"k", partition=0)
    assert (await wire.read(topic, 1))[0].value == value


async def test_a_record_larger_than_the_topic_takes_is_refused(wire):
    topic = await wire.topic("small", max_message_bytes=str(MIB))
    producer = await wire.producer(max_request_size=8 * MIB)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait(topic, b"x" * (2 * MIB), partition=0)


async def test_headers_null_keys_and_tombstones_come_back_as_they_were(wire):
    topic = await wire.topic("forms", cleanup_policy="delete")
    producer = await wire.producer()
    headers = [("ce_id", b"a/b/0"), ("empty", b""), ("null", None), ("bytes", b"\x00\xff")]
    await producer.send_and_wait(topic, b"{}", key=None, partition=0, headers=headers)
    await producer.send_and_wait(topic, None, key=b"gone", partition=0)
    await producer.send_and_wait(topic, b"", key=b"", partition=0)
    first, tombstone, empty = await wire.read(topic, 3)
    assert (first.key, first.value, list(first.headers)) == (None, b"{}", headers)
    assert (tombstone.key, tombstone.value) == (b"gone", None)
    assert (empty.key, empty.value) == (b"", b"")


async def test_headers_of_one_name_are_all_kept(wire):
    """A dead letter carries the original headers, whatever they were."""
    topic = await wire.topic("forms")
    producer = await wire.producer()
    headers = [("twice", b"1"), ("between", b"x"), ("twice", b"2")]
    await producer.send_and_wait(topic, b"{}", partition=0, headers=headers)
    assert list((await wire.read(topic, 1))[0].headers) == headers


async def test_a_batch_keeps_headers_and_tombstones(wire):
    topic = await wire.topic("log", cleanup_policy="compact")
    producer = await wire.producer(enable_idempotence=True, **BATCH)
    batch = producer.create_batch()
    batch.append(key=b"head", value=b"{}", timestamp=None, headers=[("claim", b"7")])
    batch.append(key=b"finished", value=None, timestamp=None)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=0))
    head, tombstone = await wire.read(topic, 2)
    assert list(head.headers) == [("claim", b"7")]
    assert (tombstone.key, tombstone.value) == (b"finished", None)


async def test_a_compacted_topic_refuses_a_record_without_key(wire):
    topic = await wire.topic("log", cleanup_policy="compact")
    producer = await wire.producer()
    with pytest.raises(KafkaError):
        await producer.send_and_wait(topic, b"x", key=None, partition=0)
    assert await wire.end_offset(topic) == 0


async def test_log_ends_are_exact_and_per_partition(wire):
    topic = await wire.topic("log", partitions=3)
    producer = await wire.producer(**BATCH)
    await send(producer, topic, 7, partition=1)
    assert [await wire.end_offset(topic, number) for number in range(3)] == [0, 7, 0]


async def test_a_topic_that_nobody_created_is_not_made_by_asking_for_it(wire):
    await wire.admin.describe_topics([wire.prefix + "nobody"])
    assert wire.prefix + "nobody" not in await wire.admin.list_topics()


async def test_the_default_partitioner_is_javas_murmur2(wire):
    """Values of Kafka's own test of Utils.murmur2."""
    partitions = list(range(1 << 16))
    murmur2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, expected in murmur2.items():
        assert DefaultPartitioner()(key, partitions, partitions) == (expected & 0x7FFFFFFF) % len(partitions)


async def test_partitions_that_were_introduced_are_asked_about_but_not_fetched(wire):
    topics = [await wire.topic(f"log{n}") for n in range(3)]
    producer = await wire.producer()
    for topic in topics:
        await send(producer, topic, 4)
    consumer = await wire.consumer(auto_offset_reset="earliest", fetch_max_wait_ms=READ_WAIT_MS)
    places = [TopicPartition(topic, 0) for topic in topics]
    introduce(consumer, places)
    assert await consumer.end_offsets(places) == dict.fromkeys(places, 4)
    assert await consumer.getmany(timeout_ms=300) == {}
    consumer.assign(places[1:2])
    await consumer.seek_to_beginning(*places[1:2])
    fetched = await consumer.getmany(timeout_ms=10_000)
    assert [record.offset for record in fetched[places[1]]] == [0, 1, 2, 3]
