"""The Kafka node's process: start, crash, restart, and errors."""

import asyncio
import socket

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.subprocesses import BrokerError

pytestmark = [pytest.mark.node, pytest.mark.slow]


async def test_a_crashed_node_comes_back_at_its_address_with_what_it_acknowledged(tmp_path):
    async with KafkaNode(tmp_path, heap="256m") as node:
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


async def test_a_taken_port_is_an_error_that_names_it(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} is taken"):
            await KafkaNode(tmp_path, port=port).start()


async def test_a_node_that_dies_at_start_shows_its_last_log_lines(tmp_path):
    with pytest.raises(BrokerError, match=r"could not be formatted|died at start") as failure:
        await KafkaNode(tmp_path, heap="1k").start()
    assert "heap" in str(failure.value)


async def test_a_valkey_that_dies_at_start_shows_its_last_log_lines(tmp_path):
    (tmp_path / "appendonlydir").write_text("a file where a folder is to be")
    server = ValkeyServer(tmp_path)
    with pytest.raises(BrokerError, match=r"Valkey died at start \(exit code 1\)"):
        await server.start()
    assert server.pid is None


async def test_valkey_keeps_what_it_acknowledged_through_its_own_crash(tmp_path):
    server = ValkeyServer(tmp_path)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"SET kept x\r\n")
    assert await reader.readline() == b"+OK\r\n"
    writer.close()
    server.kill()
    again = ValkeyServer(tmp_path, port=server.port)
    await again.start()
    assert again.url == server.url
    reader, writer = await asyncio.open_connection("127.0.0.1", again.port)
    writer.write(b"GET kept\r\n")
    assert await reader.readline() == b"$1\r\n"
    writer.close()
    await again.stop()
