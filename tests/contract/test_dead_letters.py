"""A malformed record on any source topic lands in its dead letters as it came, and those around it are processed."""

import json
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_logs
from needed import agents_named
from running import at_rest, worker_in_process
from sealing import sealed

GOOD: dict[str, dict[str, Any]] = {
    "interactions": {
        "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
        "prompt": "Hello?", "ts": 1.0,
    },
    "facts": {
        "exporter": "cad", "exporter_version": "1", "exported_at": 1.0, "subject": "ann", "slot": "pad",
        "value": "steel", "source_artifact": "pad.step", "ts": 1.0,
    },
    "opinions": {
        "subject": "ann", "memory_id": f"m-{24 * '0'}", "opinion": "for", "confidence": 0.5, "by": "op", "ts": 1.0,
    },
    "signals": {"identity": "ann", "name": "stress", "level": 0.5, "ttl_ms": 800, "source": "probe", "ts": 1.0},
    "observations": {
        "primitive": "motor.input_modality", "value": "typed", "confidence": 0.5,
        "window": {"start_ts": 1.0, "end_ts": 1.0}, "source": "s", "identity_ref": "ann", "ts": 1.0, "id": "o", "v": 1,
    },
    "tool-calls": {
        "call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "open_url", "arguments": {"url": "https://e.org"},
        "step": 1, "ts": 1.0,
    },
    "tool-results": {
        "call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "browser", "status": "ok", "duration_ms": 1.0,
        "args_summary": "", "ts": 1.0,
    },
    "feedback": {"identity": "ann", "target_action_id": "t1", "rating": 4, "ts": 1.0},
    "detections": {
        "identity": "ann", "phase": "bonding", "risk_level": "low", "childhood_archetype": "a", "egg_status": "none",
        "confidence": 0.5, "signals": [], "turn_count": 1, "ulm": {"n": 0.5}, "ts": 1.0,
    },
    "commands": {"kind": "set_cap", "identity": "ann", "by": "op", "cap": 3, "ts": 1.0},
    "erasures": {
        "kind": "erase", "identity": "ann", "erasure_id": 64 * "1", "agent": "attribution", "key": "ann/motor.pace",
        "of": "ann", "by": "op", "ts": 1.0,
    },
    "late-advice": {
        "audit_id": "t1", "identity": "ann", "within_ms": 2000, "mode": "strict", "policy": 64 * "0", "ts": 1.0,
    },
    "model-requests": {
        "request_id": "r", "audit_id": "t1", "identity": "ann", "step": 1, "model": "m", "messages": [], "tools": [],
        "parameters": {}, "dropped": [], "deadline_ms": 1000, "ts": 1.0,
    },
    "model-replies": {
        "request_id": "r", "audit_id": "t1", "identity": "ann", "step": 1, "status": "ok", "content": "x",
        "tool_calls": [], "finish_reason": "stop", "usage": None, "model": "m", "latency_ms": 1.0, "error": None,
        "ts": 1.0,
    },
}  # fmt: skip
SPECIAL = {
    "feedback": [("rating 7", {"rating": 7}, "rating"), ("a raw emoji", {"symbols": ["👍"]}, "symbols")],
    "signals": [
        ("an unknown name", {"name": "joy"}, "name"),
        ("stabilize from outside", {"name": "stabilize"}, "name"),
    ],
    "interactions": [("an unknown kind", {"kind": "paused"}, "kind"), ("an empty prompt", {"prompt": ""}, "prompt")],
    "commands": [("an unknown kind", {"kind": "explode"}, "kind")],
    "observations": [("a window that ends before it starts", {"window": {"start_ts": 2.0, "end_ts": 1.0}}, "window")],
    "tool-results": [("a longer summary", {"args_summary": "x" * 181}, "args_summary")],
}


def malformed(topic: str) -> list[tuple[str, bytes, str]]:
    """(what is wrong, value, word that the reason must hold)."""
    good = GOOD[topic]
    cases: list[tuple[str, bytes, str]] = [
        ("not JSON", b"{nothing", "JSON"),
        ("not UTF-8", b'{"identity": "\xff"}', "JSON"),
        ("no object", b"[1, 2]", "value"),
        ("an unknown field", orjson.dumps({**good, "surplus": 1}), "surplus"),
        ("a missing field", orjson.dumps({name: value for name, value in good.items() if name != "ts"}), "ts"),
        ("a wrong type", orjson.dumps({**good, "ts": "now"}), "ts"),
        ("NaN", json.dumps({**good, "ts": float("nan")}).encode(), "ts"),
        ("2 MB", orjson.dumps({**good, "surplus": "x" * 2_000_000}), "bytes"),
    ]
    cases += [(told, orjson.dumps({**good, **change}), word) for told, change, word in SPECIAL.get(topic, [])]
    return cases


def test_every_source_topic_is_covered() -> None:
    # The conversation closes turns, asks models and makes tool calls, as applications do.
    written = {topic for agent in AGENTS for topic in agent.targets} - {"interactions", "tool-calls", "model-requests"}
    assert set(GOOD) == {topic for agent in AGENTS for topic in agent.sources} - written


async def test_malformed_records_are_dead_letters_as_they_came_and_the_good_around_them_are_read(
    settings: Settings,
) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    place = partition_of("ann", 2)
    async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
        await producer.start()
        for topic, good in GOOD.items():

            async def send(value: bytes, *headers: Any, topic: str = topic) -> None:
                """As a stranger, or as a process of ours where only we may write."""
                own = sealed(settings, topic, place, b"ann", value, headers) if CATALOGUE[topic].ours else list(headers)
                await producer.send(settings.prefix + topic, value, key=b"ann", partition=place, headers=own)

            for number, (_, value, _) in enumerate(malformed(topic)):
                before = orjson.dumps({**good, "id": f"good-{number}"})
                await send(before)
                await send(value, ("mine", str(number).encode()))
            await send(orjson.dumps({**good, "id": "good-last"}))
        await producer.flush()
        await at_rest(worker, consumer)
        bodies = list(worker.manager.processors.values()) if worker.manager else []
        thought = {unit.name: unit.tally.prepared + unit.tally.copies + unit.tally.rejected for unit in bodies}
    await producer.stop()
    await consumer.stop()
    logs = await read_logs(settings, [f"{topic}.dlq" for topic in GOOD])
    for topic in GOOD:
        cases = malformed(topic)
        dead = [raw for raw in logs[f"{topic}.dlq", place] if dict(raw.headers).get("mine")]
        assert len(dead) == len(cases), topic
        for (told, value, word), raw in zip(cases, dead, strict=True):
            headers = dict(raw.headers)
            assert raw.value == value, f"{topic}: {told}: other bytes"
            assert raw.key == b"ann"
            assert word in headers["endocrine-error"].decode(), f"{topic}: {told}: {headers['endocrine-error']!r}"
            assert headers["endocrine-error-kind"] in (b"not_json", b"invalid", b"too_large")
    read = ("observations", "erasures")
    assert thought[f"attribution/{place}"] == sum(len(malformed(topic)) + 1 for topic in read)
    assert thought[f"bonds/{place}"] >= len(malformed("detections")) + 1


@pytest.mark.usefixtures("only_needed_topics")
@pytest.mark.parametrize("key", [None, b"wrong", b"", b"\xff"], ids=["null", "wrong", "empty", "not text"])
async def test_a_record_under_a_key_that_does_not_fit_is_forwarded_to_its_place(
    settings: Settings, key: bytes | None
) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    value = orjson.dumps(GOOD["observations"])
    place = partition_of("ann", 2)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    async with worker_in_process(settings, agents_named("attribution"), shipped_policy()) as worker:
        await producer.start()
        await producer.send_and_wait(settings.prefix + "observations", value, key=key, partition=1 - place)
        await producer.send_and_wait(settings.prefix + "observations", b"{", key=key, partition=1 - place)
        await at_rest(worker, consumer)
    await producer.stop()
    await consumer.stop()
    logs = await read_logs(settings, ["observations", "observations.dlq", "attribution-states"])
    (moved,) = logs["observations", place]
    headers = dict(moved.headers)
    assert (moved.key, moved.value, headers["ce_id"]) == (b"ann", value, b"o")
    assert headers["endocrine-rekeyed-from"] == f"observations/{1 - place}/0".encode()
    assert [dict(raw.headers)["ce_id"] for raw in logs["attribution-states", place]] == [b"attribution/o/0"]
    (dead,) = logs["observations.dlq", 1 - place]
    assert (dead.key, dead.value) == (key, b"{")


@pytest.mark.usefixtures("only_needed_topics")
async def test_a_record_forwarded_once_that_still_does_not_fit_is_a_dead_letter(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    place = 1 - partition_of("ann", 2)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    async with worker_in_process(settings, agents_named("modulation"), shipped_policy()) as worker:
        await producer.start()
        value = orjson.dumps(GOOD["signals"])
        headers = sealed(settings, "signals", place, b"ann", value, [("endocrine-rekeyed-from", b"signals/0/0")])
        await producer.send_and_wait(settings.prefix + "signals", value, key=b"ann", partition=place, headers=headers)
        await at_rest(worker, consumer)
    await producer.stop()
    await consumer.stop()
    (dead,) = (await read_logs(settings, ["signals.dlq"]))["signals.dlq", place]
    assert dict(dead.headers)["endocrine-error-kind"] == b"misfit"
    assert b"forwarded once" in dict(dead.headers)["endocrine-error"]


@pytest.mark.usefixtures("only_needed_topics")
async def test_records_with_null_headers_are_read_set_aside_and_forwarded_like_others(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    place = partition_of("ann", 2)
    nulls = [(name, None) for name in ("ce_id", "endocrine-origin", "endocrine-rekeyed-from", "traceparent", "mine")]
    good = GOOD["detections"]
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    async with worker_in_process(settings, agents_named("bonds"), shipped_policy()) as worker:
        await producer.start()
        named, other = {**good, "id": "d"}, {**good, "id": "d", "turn_count": 2}
        for value, at in [(good, place), (b"{", place), (named, place), (other, place), (good, 1 - place)]:
            sent = value if isinstance(value, bytes) else orjson.dumps(value)
            await producer.send_and_wait(settings.prefix + "detections", sent, key=b"ann", partition=at, headers=nulls)
        await at_rest(worker, consumer)
    await producer.stop()
    await consumer.stop()
    logs = await read_logs(settings, ["detections", "detections.dlq", "bonds"])
    dead = logs["detections.dlq", place]
    assert [dict(raw.headers)["endocrine-error-kind"] for raw in dead] == [b"not_json", b"conflicting_id"]
    moved = logs["detections", place][-1]
    assert dict(moved.headers)["ce_id"] == f"detections/{1 - place}/0".encode()
    for raw in (*dead, moved):
        assert [content for name, content in raw.headers if name in ("traceparent", "mine")] == [None, None]
    assert dict(logs["bonds", place][-1].headers)["ce_id"].startswith(b"bonds/" + dict(moved.headers)["ce_id"])
