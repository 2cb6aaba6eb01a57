"""Metrics are served on loopback, and only where a port is set."""

import asyncio
import socket
import time
import urllib.error
import urllib.request

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.serve import serve
from running import at_rest, worker_in_process


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_scraper_on_the_machine_reads_them_until_they_stop(port: int) -> None:
    metrics = serve(Settings(metrics_port=port), ["gating"], shipped_policy())
    assert metrics is not None
    metrics.processors(["gating"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b'endocrine_units{agent="gating"} 1.0' in answer.read()
    metrics.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_port_that_is_taken_is_an_error(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            serve(Settings(metrics_port=port), ["gating"], shipped_policy())


async def test_a_worker_counts_what_it_decides(settings: Settings, port: int) -> None:
    settings = settings.model_copy(update={"partitions": 2, "metrics_port": port})
    turn = {"kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c"}
    call = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "nope", "arguments": {}, "step": 1}
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
        await producer.start()
        for topic, value in (
            ("interactions", {**turn, "prompt": "hello", "ts": time.time()}),
            ("tool-calls", {**call, "ts": time.time()}),
        ):
            await producer.send_and_wait(settings.prefix + topic, orjson.dumps(value), key=b"ann")
            await at_rest(worker, consumer)
        text = await asyncio.to_thread(_scraped, port)
        await producer.stop()
    await consumer.stop()
    lines = text.splitlines()
    assert 'endocrine_units{agent="gating"} 2.0' in lines
    assert 'endocrine_turns_total{mode="balanced",refusal="none"} 1.0' in lines
    assert 'endocrine_revisions_total{mode="strict"} 1.0' in lines
    assert 'endocrine_incidents_total{kind="tool_blocked"} 1.0' in lines
    denied = '{decision="denied",reason="unknown_tool",tool="other"}'
    assert f"endocrine_tool_decisions_total{denied} 1.0" in lines
    assert 'endocrine_records_read_total{agent="bonds"} ' in text
    assert "ann" not in text


def _scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8")
