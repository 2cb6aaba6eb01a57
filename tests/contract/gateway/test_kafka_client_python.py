"""The Python client over Kafka alone, with a worker behind the topics and no gateway between."""

import asyncio
import contextlib
import json
import sys
import time

import pytest
from aiokafka import AIOKafkaProducer

import rawbatches as wire
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.connection import security_options
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.seal_keys import FILE, load_seals
from endocrine_client import Denied, Endocrine, NotDecided, Refused, SyncEndocrine
from endocrine_client.kafka import KafkaTransport
from endocrine_client.kafka.binding import digest_of
from gateway_serving import forget, stack
from sealing import sealed

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEARCH = {"id": "c1", "name": "retrieve_knowledge", "arguments": '{"query": "refunds"}'}
EXECUTE = {"id": "c2", "name": "exec_code", "arguments": '{"code": "1"}'}


def over_kafka(settings, *, proved=True, **more):
    seal_keys = settings.data_dir / FILE if proved else None
    transport = KafkaTransport(
        settings.bootstrap,
        prefix=settings.prefix,
        seal_key_file=seal_keys,
        client="shop",
        **security_options(settings),
    )
    return Endocrine(transport=transport, **{"spool": False, "open_s": 30, "decision_s": 60, **more})


@pytest.mark.parametrize("proved", [True, False], ids=["with the seal keys", "without"])
async def test_a_turn_is_governed_and_is_on_record(door, who, eventually, proved):
    async with over_kafka(door.settings, proved=proved) as endocrine:
        async with endocrine.turn(identity=who, prompt="How long do refunds take?") as turn:
            assert (turn.mode, turn.modulation.revision, turn.modulation.advice) == ("balanced", 0, None)
            assert "retrieve_knowledge" in turn.functions.names
            decided = await turn.tool_call(SEARCH)
            assert (decided.tool, decided.arguments) == ("retrieval", {"query": "refunds"})
            assert (await turn.tool_call(SEARCH)) == decided  # the same call, asked again
            await turn.tool_result(decided, {"passages": []}, duration_ms=2)
            with pytest.raises(Denied) as raised:
                await turn.tool_call(EXECUTE)
            assert raised.value.reason == "disabled_by_flag"
            assert (turn.mode, turn.modulation.revision) == ("strict", 1)
            with pytest.raises(Denied) as raised:  # the gate has no digest of these arguments
                await turn.tool_call({"id": "c3", "name": "retrieve_knowledge", "arguments": {"query": 2**60}})
            assert raised.value.reason == "invalid_arguments"
            turn.answer("Ten days.", usage={"prompt_tokens": 3, "completion_tokens": 2})
        assert await endocrine.rate(turn, 5)
        assert await endocrine.signal(who, "stress", 0.4)
        assert await endocrine.observation(_observation(who))
        assert await endocrine.detection(_detection(who))
        assert await endocrine.flush(30)
        assert (endocrine.counts.delivered, endocrine.counts.refused) == (6, 0)
        event = await endocrine.set_cap(who, 40, wait_s=30)
        assert event["outcome"]["identity"] == who
        with pytest.raises(Refused, match="use the HTTP transport"):
            await endocrine.bond(who)
    async with door.client() as client:
        found = await eventually(
            lambda: client.get(f"/v1/turns/{turn.audit_id}"), lambda a: a.status_code == 200 and a.json()["closed"]
        )
        assert found.json()["closed"]["response"] == "Ten days."
        letters = await client.get("/v1/dead-letters", params={"identity": who})
        assert letters.json()["total"] == 0


def _observation(who):
    now = time.time()
    return {"identity": who, "id": f"o-{who}", "primitive": "cognitive.mode", "value": "focused", "confidence": 0.8,
            "window": {"start_ts": now - 1, "end_ts": now}, "source": "test"}  # fmt: skip


def _detection(who):
    return {"identity": who, "phase": "stranger", "risk_level": "none", "childhood_archetype": "none",
            "egg_status": "none", "confidence": 0.5, "signals": [], "turn_count": 1, "ulm": {}}  # fmt: skip


async def test_the_blocking_client_is_refused_by_a_cap(door, who):
    settings = door.settings
    transport = KafkaTransport(settings.bootstrap, prefix=settings.prefix, **security_options(settings))

    def blocking():
        with SyncEndocrine(transport=transport, spool=False, open_s=30) as endocrine:
            endocrine.set_cap(who, 1, wait_s=30)
            for _ in range(3):
                with endocrine.turn(identity=who, prompt="How?") as turn:
                    turn.answer("So.")

    with pytest.raises(Denied) as raised:
        await asyncio.to_thread(blocking)
    assert raised.value.reason == "rate_limited"


@pytest.mark.parametrize("proved", [True, False], ids=["with the seal keys", "without"])
async def test_without_a_worker_nothing_runs_whatever_strangers_write(module_settings, who, proved):
    """The turn is strict, and no call runs. A stranger's decision does not count where it can be told from ours: for
    other arguments, of another turn or identity, on another partition, of another agent, or unsealed.
    """
    load_seals(module_settings)  # makes the keys
    async with (
        topics_alone(module_settings),
        over_kafka(module_settings, proved=proved, open_s=3, decision_s=2) as endocrine,
        endocrine.turn(identity=who, prompt="How long do refunds take?") as turn,
    ):
        assert (turn.mode, turn.modulation.advice, turn.functions.names) == ("strict", "late", ())
        good = decision(turn.audit_id, who)
        await append(module_settings, *strangers(good, who, module_settings.partitions))
        with pytest.raises(NotDecided):
            await turn.tool_call(SEARCH)
        await append(module_settings, (good, who, partition_of(who, module_settings.partitions), GATE))
        if proved:
            with pytest.raises(NotDecided):
                await turn.tool_call(SEARCH)
        else:  # the bound of what can be told without the keys: here ACLs alone protect the topic
            assert (await turn.tool_call(SEARCH)).allowed


APPLICATION = """
import json
import ssl
import sys
from endocrine_client import NotDecided, SyncEndocrine
from endocrine_client.kafka import KafkaTransport

bootstrap, prefix, keys, who, ca_file, security = sys.argv[1:]
options = json.loads(security)
if options:
    options["ssl_context"] = ssl.create_default_context(cafile=ca_file)
transport = KafkaTransport(bootstrap, prefix=prefix, seal_key_file=keys, **options)
with SyncEndocrine(transport=transport, spool=False, open_s=10, decision_s=1, close_s=1) as endocrine:
    with endocrine.turn(identity=who, prompt="How?") as turn:
        print(turn.audit_id, flush=True)
        for line in sys.stdin:
            try:
                turn.tool_call({"id": "c1", "name": "retrieve_knowledge", "arguments": {"query": "refunds"}})
                print("ran", flush=True)
                break
            except NotDecided:
                print("not decided", flush=True)
"""
"""A program of its own: in this process aiokafka reads whatever a batch holds, as the engine makes it."""


async def test_a_batch_that_cannot_be_read_hides_no_later_decision(module_settings, who):
    load_seals(module_settings)
    place, topic = partition_of(who, module_settings.partitions), module_settings.prefix + "tool-decisions"
    security = {name: value for name, value in security_options(module_settings).items() if name != "ssl_context"}
    async with topics_alone(module_settings):
        application = await asyncio.create_subprocess_exec(
            sys.executable, "-c", APPLICATION, module_settings.bootstrap, module_settings.prefix,
            str(module_settings.data_dir / FILE), who, str(module_settings.kafka_ca_file), json.dumps(security),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(120):
                audit_id = (await application.stdout.readline()).decode().strip()
                nameless = wire.record(0, who.encode(), b"{}", [(b"\xff", b"x")])
                await wire.append(module_settings.bootstrap, topic, place, wire.batch([nameless]))
                while True:
                    await append(module_settings, (decision(audit_id, who), who, place, GATE, "sealed"))
                    application.stdin.write(b"\n")
                    if (await application.stdout.readline()).strip() != b"not decided":
                        break
                assert await application.wait() == 0
        finally:
            if application.returncode is None:
                application.kill()
                await application.wait()


@contextlib.asynccontextmanager
async def topics_alone(settings):
    async with stack(settings, worker=False):
        yield
    await forget(settings)


GATE = b"gating/tool-calls/0/0/0"


def decision(audit_id, who):
    return {"call_id": "c1", "audit_id": audit_id, "identity": who, "function": "retrieve_knowledge",
            "tool": "retrieval", "decision": "allowed", "reason": None, "revision": 0,
            "arguments_digest": digest_of({"query": "refunds"})}  # fmt: skip


def strangers(good, who, partitions):
    """(value, key, partition, origin) of decisions that are none on the call."""
    place = partition_of(who, partitions)
    return [
        (good | {"arguments_digest": digest_of({"query": "passwords"})}, who, place, GATE),
        (good | {"arguments_digest": None}, who, place, GATE),
        (good | {"audit_id": "another"}, who, place, GATE),
        (good | {"identity": "another"}, who, place, GATE),
        (good | {"function": "exec_code"}, who, place, GATE),
        (good, "another", place, GATE),
        (good, who, 1 - place, GATE),
        (good, who, place, b"modulation/tool-calls/0/0/0"),
    ]


async def append(settings, *records):
    """Records (value, key, partition, origin) on `tool-decisions`; with a seal where a fifth part says so."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        for value, key, partition, origin, *seal in records:
            content, headers = json.dumps(value).encode(), [("ce_id", b"gating/x/0"), ("endocrine-origin", origin)]
            if seal:
                headers = sealed(settings, "tool-decisions", partition, key.encode(), content, headers)
            topic = settings.prefix + "tool-decisions"
            await producer.send_and_wait(topic, content, key=key.encode(), partition=partition, headers=headers)
    finally:
        await producer.stop()


@pytest.mark.slow
@pytest.mark.node
async def test_a_killed_broker_lets_nothing_run_and_loses_nothing(module_settings, tmp_path, who):
    async with KafkaNode(tmp_path / "kafka", heap="256m") as node:
        settings = module_settings.model_copy(update={"bootstrap": node.bootstrap})
        load_seals(settings)
        await ensure_topics(settings, [agent.name for agent in AGENTS])
        async with (
            over_kafka(settings, decision_s=2, spool=tmp_path / "spool.db") as endocrine,
            endocrine.turn(identity=who, prompt="How long do refunds take?") as turn,
        ):
            assert turn.modulation.advice == "late"
            node.kill()
            with pytest.raises(NotDecided):
                await turn.tool_call(SEARCH)
            assert await endocrine.signal(who, "stress", 0.4)
            assert not await endocrine.flush(1)
            await node.start()
            assert node.bootstrap == settings.bootstrap
            assert await asyncio.to_thread(emptied, endocrine)
            # What follows the topics goes on where it was.
            place = partition_of(who, settings.partitions)
            with pytest.raises(NotDecided):
                await turn.tool_call(SEARCH)
            await append(settings, (decision(turn.audit_id, who), who, place, GATE, "sealed"))
            assert (await turn.tool_call(SEARCH)).allowed


def emptied(endocrine):
    return any(endocrine._delivery.deliver(20) for _ in range(20))
