"""Every private part of aiokafka and Faust that `endocrine.pipeline.kafka.fetching` relies on, by name.

It fails where a newer version has changed one: then fit `pipeline/kafka/fetching.py` to it, and this list.
"""

import asyncio
import inspect
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import consumer as consumers
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v7, FetchRequest_v11
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

from endocrine.pipeline.kafka import fetching
from endocrine.pipeline.kafka.session_fetcher import SessionFetcher


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_versions_are_those_whose_source_was_read():
    assert (version("aiokafka"), version("faust-streaming")) == ("0.14.0", "0.15.3")


def test_the_fetcher_makes_our_classes():
    assert {name: getattr(fetcher, name) for name in fetching.REPLACED} == fetching.REPLACED
    source = inspect.getsource(fetcher.Fetcher)
    for made in ("MemoryRecords(part_data[-1])", "PartitionRecords(\n", "FetchResult(\n", "is FetchResult"):
        assert made in source


def test_partition_records_are_made_and_used_as_ours_expect():
    (theirs,) = fetching.RecordsReader.__bases__
    assert parameters(theirs.__init__)[1:] == [
        "tp",
        "records",
        "aborted_transactions",
        "fetch_offset",
        "key_deserializer",
        "value_deserializer",
        "check_crcs",
        "isolation_level",
    ]
    made = theirs(("t", 0), fetching.Batches(b""), None, 5, None, None, True, fetcher.READ_COMMITTED)
    assert made._records_iterator is not None
    for name in ("_tp", "_records", "_aborted_producers", "_key_deserializer", "_check_crcs", "_isolation_level"):
        assert hasattr(made, name), name
    assert made.next_fetch_offset == 5
    assert parameters(theirs._unpack_records) == ["self"]
    assert parameters(theirs._consume_aborted_up_to) == ["self", "batch_offset"]
    assert parameters(theirs._contains_abort_marker) == ["self", "next_batch"]


def test_the_fetcher_reads_how_long_a_fetch_may_be_held_for_each_fetch():
    assert "self._fetch_max_wait_ms," in inspect.getsource(fetcher.Fetcher._get_actions_per_node)
    assert "self._fetcher = Fetcher(" in inspect.getsource(AIOKafkaConsumer.start)


def test_every_consumer_gets_our_fetcher_which_sees_every_fetch():
    assert consumers.Fetcher is SessionFetcher
    (theirs,) = SessionFetcher.__bases__
    assert theirs is fetcher.Fetcher
    assert parameters(theirs.__init__)[1] == "client"
    source = inspect.getsource(theirs)
    for part in ("response = await self._client.send(node_id, request)", "in request.topics:", "self._records[tp]"):
        assert part in source
    actions = inspect.getsource(theirs._get_actions_per_node)
    for part in (
        "req = FetchRequest(",
        "fetch_requests.append((node_id, req))",
        "return (\n            fetch_requests,",
    ):
        assert part in actions


def test_a_fetch_request_is_built_as_ours_expect():
    made = FetchRequest(1, 2, 3, 1, [("t", [(0, 5, 100)])], "rack")
    parts = (made._max_wait_ms, made._min_bytes, made._max_bytes, made._isolation_level, made._topics, made._rack_id)
    assert parts == (1, 2, 3, 1, [("t", [(0, 5, 100)])], "rack")
    built = made.build(FetchRequest_v11)
    assert (built.session_id, built.session_epoch, built.forgotten_topics_data) == (0, -1, [])
    for name in ("session_id", "error_code"):
        assert name in FetchRequest_v7.RESPONSE_TYPE.SCHEMA.names
        assert name in FetchRequest_v11.RESPONSE_TYPE.SCHEMA.names


def test_fetch_results_are_made_and_used_as_ours_expect():
    (theirs,) = fetching.SpanResult.__bases__
    assert parameters(theirs.__init__)[1:] == ["tp", "assignment", "partition_records", "backoff"]
    made = theirs("place", assignment="assignment", partition_records=None, backoff=0.0)
    assert (made._topic_partition, made._assignment, made._partition_records) == ("place", "assignment", None)
    assert parameters(theirs.getall) == ["self", "max_records"]
    assert parameters(theirs.check_assignment) == ["self", "tp"]
    assert parameters(theirs.has_more) == ["self"]


@pytest.mark.parametrize(
    "name",
    [
        "validate_crc",
        "base_offset",
        "next_offset",
        "producer_id",
        "is_control_batch",
        "is_transactional",
        "__iter__",
        "__next__",
    ],
)
def test_a_batch_has_what_is_asked_of_it(name):
    assert hasattr(DefaultRecordBatch, name)


async def test_a_consumer_that_faust_made_can_be_bound():
    consumer = AIOKafkaConsumer()
    before = consumer._isolation_level, consumer._key_deserializer, consumer._fetch_max_bytes
    assert before == ("read_uncommitted", None, 52428800)
    assert parameters(AIOKafkaConsumerThread._create_worker_consumer) == ["self", "transport"]
    assert parameters(Consumer._new_consumer_thread) == ["self"]


def test_fausts_thread_takes_from_the_fetcher_as_ours_does():
    assert parameters(AIOKafkaConsumerThread._fetch_records) == [
        "self",
        "consumer",
        "active_partitions",
        "timeout",
        "max_records",
    ]
    source = inspect.getsource(AIOKafkaConsumerThread._fetch_records)
    assert "if not self.consumer.flow_active:\n            return {}" in source
    assert "await fetcher.fetched_records(" in source
    assert "_consumer = self._ensure_consumer()" in inspect.getsource(AIOKafkaConsumerThread.getmany)
    waiting = inspect.getsource(Consumer._wait_next_records)
    assert "self._get_active_partitions()" in waiting
    assert "await self.wait(self.can_resume_flow)" in waiting


async def test_an_assignment_holds_the_states_that_the_short_way_to_a_fetch_reads():
    place = TopicPartition("t", 0)
    assignment = Assignment([place])
    state = assignment.state_value(place)
    assert assignment._tp_state == {place: state}
    assert (state._position, state._paused, state._resume_fut) == (None, False, None)
    state.seek(5)
    state.pause()
    assert (state._position, state._paused) == (5, True)
    assert isinstance(state._resume_fut, asyncio.Future)
    fetching_parts = inspect.getsource(fetcher.Fetcher)
    for part in ("_max_partition_fetch_bytes", "_fetcher_timeout", "_client_rack", "_in_flight", "_pending_tasks"):
        assert f"self.{part}" in fetching_parts
