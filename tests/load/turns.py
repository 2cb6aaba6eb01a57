"""200 turns at once while the model takes two seconds each: is a turn lost, and do other decisions wait?

`make turns` calls this. It starts a Kafka node of its own; worker, model and tool connector and the scripted HTTP
server run as processes. Beside the turns, applications of other identities ask the gate for 50 tool calls a second; how
long their decisions take is measured before and during.
Exit code 1: a turn was lost.
"""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.settings import Settings
from running import CommandChild

TURNS = 200
IDENTITIES = 50
DELAY_S = 2.0
CALLS_PER_S = 50
BYSTANDERS = 100
"""Identities of the other applications; each asks every two seconds, which the gate's rate limit allows."""
BEFORE_S = 8.0
READY_S = 30.0
CLOSED_S = 40.0
"""Seconds until a turn that has not ended counts as lost."""
SETTLE_S = 3.0
SCRIPT = {"rules": [{"name": "slow", "steps": [{"text": "The moon causes the tides.", "delay_s": DELAY_S}]}]}


class Load:
    """What was sent and what came back. Times are of this process's monotonic clock, in seconds."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.settings = settings
        self.producer = producer
        self.consumer = consumer
        self.phase = "warm-up"
        self.sent: dict[str, tuple[str, float]] = {}
        """call_id -> (phase, when)."""
        self.latencies: dict[str, list[float]] = {"warm-up": [], "before": [], "during": []}
        """Milliseconds from sending a call to reading its decision, by the phase it was sent in."""
        self.decided: Counter[str] = Counter()
        self.closed: dict[str, tuple[str, float]] = {}
        """audit_id -> (finish, when)."""

    async def send(self, topic: str, value: dict[str, Any]) -> None:
        place = partition_of(value["identity"], self.settings.partitions)
        key = value["identity"].encode()
        await self.producer.send(self.settings.prefix + topic, orjson.dumps(value), key=key, partition=place)

    async def read(self) -> None:
        """Take in decisions and closings until cancelled."""
        while True:
            for records in (await self.consumer.getmany(timeout_ms=50)).values():
                now = time.monotonic()
                for raw in records:
                    value = orjson.loads(raw.value)
                    if "call_id" in value and value["call_id"] in self.sent:
                        phase, sent = self.sent.pop(value["call_id"])
                        self.latencies[phase].append((now - sent) * 1000)
                        self.decided[value["decision"]] += 1
                    elif value.get("kind") == "closed":
                        self.closed.setdefault(value["audit_id"], (value["finish"], now))

    async def ask(self) -> None:
        """Calls of the bystanders, at a steady rate, until cancelled. A call's clock starts when it was due."""
        begun = time.monotonic()
        for number in count():
            due = begun + number / CALLS_PER_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            who = number % BYSTANDERS
            call = {"call_id": f"call-{number}", "audit_id": f"other-{who}", "identity": f"other-{who}"}
            call |= {"tool": "retrieve_knowledge", "arguments": {"query": "tides"}, "step": 1, "ts": time.time()}
            self.sent[call["call_id"]] = (self.phase, due)
            await self.send("tool-calls", call)

    async def until(self, enough: Callable[[], bool], seconds: float) -> bool:
        """Whether there was enough in time."""
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:  # noqa: ASYNC110 - what it waits for is a number, not an event
            await asyncio.sleep(0.02)
        return enough()


def opened(audit_id: str, identity: str, *, respond: bool) -> dict[str, Any]:
    turn = {"kind": "opened", "audit_id": audit_id, "identity": identity, "session_id": audit_id, "turn": 0}
    prompt = "What causes the tides of the sea?"
    return {**turn, "client": "load", "model": "scripted", "prompt": prompt, "respond": respond, "ts": time.time()}


async def run() -> int:
    """The whole run; returns the exit code."""
    async with AsyncExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        node = await ending.enter_async_context(KafkaNode(folder / "kafka"))
        bootstrap = node.bootstrap
        settings = Settings(
            bootstrap=bootstrap, redis_url=None, data_dir=folder / "data", instance="one", metrics_port=None
        )
        await ensure_topics(settings, [agent.name for agent in AGENTS])
        await _stack(ending, settings, folder)
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        ending.push_async_callback(producer.stop)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20)
        await consumer.start()
        ending.push_async_callback(consumer.stop)
        read = ("tool-decisions", "interactions")
        consumer.assign(
            [TopicPartition(settings.prefix + topic, n) for topic in read for n in range(settings.partitions)]
        )
        load = Load(settings, producer, consumer)
        tasks = [asyncio.create_task(load.read())]
        ending.callback(lambda: [task.cancel() for task in tasks])

        for n in range(BYSTANDERS):
            await load.send("interactions", opened(f"other-{n}", f"other-{n}", respond=False))
        await load.send("interactions", opened("first", "first", respond=True))
        if not await load.until(lambda: "first" in load.closed, READY_S):
            print(f"the stack answered nothing within {READY_S:g} s; its logs:\n{_logs(folder)}", file=sys.stderr)
            return 1
        tasks.append(asyncio.create_task(load.ask()))
        await asyncio.sleep(SETTLE_S)
        load.phase = "before"
        await asyncio.sleep(BEFORE_S)
        load.phase = "during"
        begun = time.monotonic()
        wanted = {f"turn-{n}" for n in range(TURNS)}
        for n in range(TURNS):
            await load.send("interactions", opened(f"turn-{n}", f"person-{n % IDENTITIES}", respond=True))
        await producer.flush()
        await load.until(lambda: wanted <= load.closed.keys(), CLOSED_S)
        took = time.monotonic() - begun
        load.phase = "warm-up"
        await asyncio.sleep(SETTLE_S)
        for task in tasks:
            if task.done():
                task.result()
        return _report(load, wanted, begun, took)


async def _stack(ending: AsyncExitStack, settings: Settings, folder: Path) -> None:
    """Scripted server, worker and connectors, each a process; ended together."""
    notes, script = folder / "notes", folder / "script.json"
    notes.mkdir()
    (notes / "tides.md").write_text("# Tides\nThe moon causes the tides of the sea.\n")
    script.write_bytes(orjson.dumps(SCRIPT))
    with (folder / "server.log").open("ab") as log:
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "endocrine.pipeline.local.fake_llm",
            script,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    ending.push_async_callback(server.wait)
    ending.callback(lambda: server.terminate() if server.returncode is None else None)
    assert server.stdout is not None
    output = (await asyncio.wait_for(server.stdout.readline(), READY_S)).decode().split()
    address = next(word.rstrip(";") for word in output if word.startswith("http://"))
    commands: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("worker",), {}),
        (("connect", "model"), {"ENDOCRINE_MODEL_BASE_URL": address, "ENDOCRINE_MODEL_API_KEY": "scripted"}),
        (("connect", "tools"), {"ENDOCRINE_TOOL_CORPUS": str(notes), "ENDOCRINE_TOOL_CALLS": "conversation"}),
    ]
    children = [CommandChild(settings, folder / f"{'-'.join(one)}.log", one, extra) for one, extra in commands]
    ending.push_async_callback(lambda: asyncio.gather(*(child.end() for child in children if child.process)))
    for child in children:
        await child.start()


def _report(load: Load, wanted: set[str], begun: float, took: float) -> int:
    lost = len(wanted - load.closed.keys())
    ended = Counter(load.closed[turn][0] for turn in wanted & load.closed.keys())
    times = [load.closed[turn][1] - begun for turn in wanted & load.closed.keys()]
    print(f"{TURNS} turns at once over {IDENTITIES} identities, a model that takes {DELAY_S:g} s,")
    print(f"{os.cpu_count()} cores, {ModelSettings().concurrency} calls of the model at once at most")
    print(f"turns lost            {lost}  ({', '.join(f'{name} {n}' for name, n in sorted(ended.items()))})")
    print(f"until all had ended   {'never' if lost else f'{took:.1f} s'}  (a turn: {_spread(times, 's', 1)})")
    print(f"decisions on {CALLS_PER_S} calls/s of {BYSTANDERS} other identities:")
    for phase in ("before", "during"):
        print(f"  {phase:7} {len(load.latencies[phase]):5} calls, {_spread(load.latencies[phase], 'ms', 0)}")
    missed = sum(phase in ("before", "during") for phase, _ in load.sent.values())
    print(f"  {', '.join(f'{name} {n}' for name, n in sorted(load.decided.items()))}; without a decision: {missed}")
    return 1 if lost else 0


def _spread(values: list[float], unit: str, digits: int) -> str:
    def shown() -> Iterator[str]:
        ordered = sorted(values)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            yield f"{name} {ordered[max(0, int(share * len(ordered)) - 1)]:.{digits}f} {unit}"

    return ", ".join(shown()) if values else "none"


def _logs(folder: Path) -> str:
    return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    raise SystemExit(asyncio.run(run()))
