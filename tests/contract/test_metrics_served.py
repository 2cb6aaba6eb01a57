"""Metrics are served on loopback, and only where a port is set."""

import asyncio
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from effects import TOY
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.effect_runner import EffectRunner
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.errors import Stalled
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.worker.main import Worker
from endocrine.pipeline.views.metrics.serve import answer, serve
from endocrine.pipeline.views.redis import Projection
from running import at_rest, worker_in_process
from waiting import until


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


async def test_a_worker_with_a_partition_that_hangs_gets_unready_names_it_and_ends(
    settings: Settings, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is real; the clock of the watch is the test's.

    Only the processors of this worker hang: the worker that other files share runs on a thread of this process.
    """
    now = [1000.0]
    hangs, step = asyncio.Event(), PartitionProcessor.step

    async def hang(self: PartitionProcessor) -> bool:
        ours = worker.manager.processors if worker.manager else {}
        if self is ours.get(("gating", 0)):
            hangs.set()
            await asyncio.Event().wait()
        return await step(self)

    settings = settings.model_copy(update={"partitions": 1, "metrics_port": port})
    worker = Worker(settings, [agent for agent in AGENTS if agent.name in ("gating", "names")], shipped_policy())
    monkeypatch.setattr(PartitionProcessor, "step", hang)
    monkeypatch.setattr("endocrine.pipeline.runtime.worker.watch.LOOK_S", 0.02)
    life = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        await hangs.wait()
    watch = worker.watch
    assert watch is not None
    monkeypatch.setattr(watch, "_clock", lambda: now[0])
    call = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "nope", "arguments": {}, "step": 1}
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        await producer.send_and_wait(
            settings.prefix + "tool-calls", orjson.dumps({**call, "ts": time.time()}), key=b"ann"
        )
    await until(lambda: watch.stalls.behind().get("gating/0") == 1)
    assert await asyncio.to_thread(_status, port, "readyz") == (200, [])

    def later() -> bool:
        """Whether it is unready yet; seconds pass with each question."""
        now[0] += 3
        return not watch.health().ready

    await until(later)
    assert await asyncio.to_thread(_status, port, "readyz") == (503, ["gating/0"])
    await until(lambda: later() and worker.failure is not None)
    async with asyncio.timeout(60):
        await life
    assert isinstance(worker.failure, Stalled)
    assert "gating/0 has 1 records to read" in str(worker.failure)


class Nothing:
    """An effect that nothing asks for."""

    name, requests, answers = TOY, "tool-decisions", "tool-results"


async def test_a_connector_and_a_projection_are_ready_once_they_have_partitions(
    settings: Settings, broker: Any, port: int
) -> None:
    settings = settings.model_copy(
        update={"partitions": 1, "metrics_port": port, "redis_url": broker.redis_url, "redis_db": 13}
    )
    await ensure_topics(settings, [])
    metrics = serve(settings, [], None)
    assert metrics is not None
    runner, projection = EffectRunner(settings, Nothing(), metrics=metrics), Projection(settings)  # type: ignore[arg-type]
    metrics.roles["projector"] = projection.health
    status, shown = answer("/readyz", metrics.roles)  # type: ignore[misc]
    assert status == 503
    assert {role["parts"]["assignment"]["status"] for role in shown["roles"].values()} == {"waiting"}
    lives = [asyncio.create_task(runner.run()), asyncio.create_task(projection.run())]
    await until(lambda: answer("/readyz", metrics.roles)[0] == 200)  # type: ignore[index]
    assert set(answer("/readyz", metrics.roles)[1]["roles"]) == {"toy", "projector"}  # type: ignore[index]
    runner.stop()
    await projection.stop()
    await asyncio.gather(*lives)
    metrics.stop()


def _status(port: int, path: str) -> tuple[int, list[str]]:
    """Status of a probe, and the partitions that it names."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, orjson.loads(text)["roles"]["worker"]["parts"]["progress"]["stalled"]


def _scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8")
