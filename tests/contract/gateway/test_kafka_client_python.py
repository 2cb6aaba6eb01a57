"""The Python client over Kafka alone, with a worker behind the topics and no gateway between."""

import asyncio
import contextlib
import json
import time

import pytest
from aiokafka import AIOKafkaProducer

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.process.seal_keys import FILE
from endocrine_client import Denied, Endocrine, NotDecided, Refused, SyncEndocrine
from endocrine_client.kafka import KafkaTransport
from endocrine_client.kafka.binding import digest_of
from gateway_serving import forget, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEARCH = {"id": "c1", "name": "retrieve_knowledge", "arguments": '{"query": "refunds"}'}
EXECUTE = {"id": "c2", "name": "exec_code", "arguments": '{"code": "1"}'}


def over_kafka(settings, *, proved=True, **more):
    seal_keys = settings.data_dir / FILE if proved else None
    transport = KafkaTransport(settings.bootstrap, prefix=settings.prefix, seal_key_file=seal_keys, client="shop")
    return Endocrine(transport=transport, spool=False, **{"open_s": 30, "decision_s": 60, **more})


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
    transport = KafkaTransport(door.settings.bootstrap, prefix=door.settings.prefix)

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
    """No worker: the turn is strict, no call runs. Decisions that strangers write do not count where they can be told
    apart: for other arguments, of another turn, on another partition, by no agent; without a seal where it is checked.
    """
    async with _topics_alone(module_settings):
        # Keys made by the deployment's first process.
        from endocrine.pipeline.process.seal_keys import load_seals

        load_seals(module_settings)
        async with over_kafka(module_settings, proved=proved, open_s=3, decision_s=2) as endocrine:
            async with endocrine.turn(identity=who, prompt="How long do refunds take?") as turn:
                assert (turn.mode, turn.modulation.advice, turn.functions.names) == ("strict", "late", ())
                await _forge(module_settings, turn, who, proved=proved)
                with pytest.raises(NotDecided):
                    await turn.tool_call(SEARCH)


@contextlib.asynccontextmanager
async def _topics_alone(settings):
    async with stack(settings, worker=False):
        yield
    await forget(settings)


async def _forge(settings, turn, who, *, proved):
    good = {"call_id": "c1", "audit_id": turn.audit_id, "identity": who, "function": "retrieve_knowledge",
            "tool": "retrieval", "decision": "allowed", "reason": None, "revision": 0, "enforce": False,
            "arguments_digest": digest_of({"query": "refunds"})}  # fmt: skip
    place = partition_of(who, settings.partitions)
    forged = [
        (good | {"arguments_digest": digest_of({"query": "passwords"})}, who, place, b"gating/tool-calls/0/0/0"),
        (good | {"arguments_digest": None}, who, place, b"gating/tool-calls/0/0/0"),
        (good | {"audit_id": "another"}, who, place, b"gating/tool-calls/0/0/0"),
        (good | {"identity": "another"}, who, place, b"gating/tool-calls/0/0/0"),
        (good | {"function": "exec_code"}, who, place, b"gating/tool-calls/0/0/0"),
        (good, "another", place, b"gating/tool-calls/0/0/0"),
        (good, who, 1 - place, b"gating/tool-calls/0/0/0"),
        (good, who, place, b"modulation/tool-calls/0/0/0"),
    ]
    if proved:
        forged.append((good, who, place, b"gating/tool-calls/0/0/0"))
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        for value, key, partition, origin in forged:
            await producer.send_and_wait(
                settings.prefix + "tool-decisions", json.dumps(value).encode(), key=key.encode(), partition=partition,
                headers=[("ce_id", b"gating/x/0"), ("endocrine-origin", origin)],
            )  # fmt: skip
    finally:
        await producer.stop()
