"""`endocrine launch-gate` over what a worker recorded."""

import asyncio
from typing import Any

import orjson
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import launch_gate
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from needed import agents_named
from running import at_rest, worker_in_process

COMMANDS = typer.Typer()
launch_gate.register(COMMANDS)
COMMANDS.callback()(lambda: None)


def gate(settings: Settings, *words: str) -> tuple[int, Any]:
    environment = {f"ENDOCRINE_{name.upper()}": str(getattr(settings, name)) for name in ("bootstrap", "prefix")}
    result = CliRunner().invoke(COMMANDS, ["launch-gate", *words], env=environment)
    assert result.stdout, result.stderr
    return result.exit_code, orjson.loads(result.stdout) if "--json" in words else result.stdout


async def live(settings: Settings) -> None:
    """A turn with a risk, in which a call is denied, and which is closed."""
    opened = {"kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "shell",
              "prompt": "Delete?", "ts": 1.0, "signals": [{"name": "alignment_risk", "level": 0.8}]}  # fmt: skip
    call = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "step": 1, "tool": "exec_code", "arguments": {},
            "ts": 2.0}  # fmt: skip
    closed = {"kind": "closed", "audit_id": "t1", "identity": "ann", "response": "No.", "ts": 3.0}
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await consumer.start()
    try:
        agents = agents_named("modulation", "gating", "audit")
        async with worker_in_process(settings, agents, shipped_policy()) as worker:
            for topic, value in (("interactions", opened), ("tool-calls", call), ("interactions", closed)):
                await producer.send_and_wait(settings.prefix + topic, orjson.dumps(value), key=b"ann")
                await at_rest(worker, consumer)
    finally:
        await producer.stop()
        await consumer.stop()


async def test_the_gate_opens_on_a_sound_turn_and_closes_on_too_few(settings: Settings) -> None:
    await live(settings)
    code, report = await asyncio.to_thread(gate, settings, "--json", "--decision-p95-ms", "600000")
    states = {check["name"]: check["status"] for check in report["checks"]}
    assert states.pop("erasure") == "not available", report
    assert set(states.values()) == {"passed"}, report
    assert code == 0
    code, text = await asyncio.to_thread(gate, settings, "--turns", "7", "--strict", "--decision-p95-ms", "600000")
    assert text.startswith("The gate is closed: evidence, erasure."), text
    assert code == 1
