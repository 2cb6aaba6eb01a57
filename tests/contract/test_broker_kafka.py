"""The Kafka node's process: start, crash, restart, and errors."""

import socket

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.child import BrokerError
from pipeline.kafka_node import KafkaNode, java

pytestmark = pytest.mark.kafka


async def test_a_crashed_node_comes_back_at_its_address_with_what_it_acknowledged(tmp_path, kafka_libs):
    async with KafkaNode(tmp_path, heap="512m") as node:
        bootstrap = node.bootstrap
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await producer.start()
        last = await producer.send_and_wait("kept", b"x", partition=0)
        await producer.stop()
        await node.restart(crash=True)
        assert node.bootstrap == bootstrap
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        assert (await consumer.end_offsets([TopicPartition("kept", 0)])).popitem()[1] == last.offset + 1
        await consumer.stop()
    assert node.pid is None


async def test_a_taken_port_is_an_error_that_names_it(tmp_path, kafka_libs):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} is taken"):
            await KafkaNode(tmp_path, port=port).start()


async def test_a_node_that_dies_at_start_shows_its_last_log_lines(tmp_path, kafka_libs):
    with pytest.raises(BrokerError, match=r"could not be formatted|died at start") as failure:
        await KafkaNode(tmp_path, heap="1k").start()
    assert "heap" in str(failure.value)


def test_the_java_found_is_recent_enough():
    assert java()
