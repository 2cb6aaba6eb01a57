"""`endocrine dlq list|show|redrive|discard` over a broker."""

import asyncio
import json

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import dlq
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.logs import read_logs
from running import at_rest, worker_in_process

PLACE = partition_of("ann", 2)
GOOD = {"identity": "ann", "name": "stress", "level": 0.5, "ttl_ms": 800, "source": "probe", "ts": 1.0}


def dead(topic, offset, value, kind, **more):
    headers = [
        ("endocrine-error", f"{topic}: refused".encode()),
        ("endocrine-error-kind", kind.encode()),
        ("endocrine-origin", f"modulation/{topic}/{PLACE}/{offset}/0".encode()),
    ]
    return f"{topic}.dlq", value, [*headers, *((name, content.encode()) for name, content in more.items())]


@pytest.fixture
def here(settings):
    """Settings of two partitions, with all topics."""
    mine = settings.model_copy(update={"partitions": 2})
    asyncio.run(ensure_topics(mine, []))
    return mine


@pytest.fixture
def call(here):
    def run(*arguments):
        app = typer.Typer()
        app.callback()(lambda: None)
        dlq.register(app)
        env = {
            "ENDOCRINE_BOOTSTRAP": here.bootstrap, "ENDOCRINE_PREFIX": here.prefix, "ENDOCRINE_PARTITIONS": "2",
            "LOGNAME": "tess",
        }  # fmt: skip
        return CliRunner().invoke(app, ["dlq", *map(str, arguments)], env=env)

    return run


@pytest.fixture
def send(here):
    def records(*letters):
        async def all_of_them():
            producer = AIOKafkaProducer(bootstrap_servers=here.bootstrap)
            await producer.start()
            for topic, value, headers in letters:
                sent = producer.send_and_wait(here.prefix + topic, value, key=b"ann", partition=PLACE, headers=headers)
                last = await sent
            await producer.stop()
            return last.timestamp / 1000

        return asyncio.run(all_of_them())

    return records


def listed(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def stands(settings, *topics):
    return asyncio.run(read_logs(settings, topics))


def test_list_counts_and_filters_and_shows_lengths_never_bodies(call, send):
    bodies = orjson.dumps({**GOOD, "id": "s1", "name": "secret joy"})
    middle = send(dead("signals", 1, b"{", "not_json"), dead("signals", 2, bodies, "invalid"))
    later = send(dead("feedback", 1, b"[", "not_json"))
    told = listed(call("list", "--json"))
    assert told["total"] == 3
    assert {(row["topic"], row["kind"]): row["count"] for row in told["counts"]} == {
        ("signals.dlq", "not_json"): 1, ("signals.dlq", "invalid"): 1, ("feedback.dlq", "not_json"): 1,
    }  # fmt: skip
    times = [row["time"] for row in told["letters"]]
    assert times == sorted(times, reverse=True)
    assert "secret joy" not in call("list").stdout
    assert str(len(bodies)) in call("list", "--topic", "signals").stdout
    for arguments, count in [
        (("--topic", "signals.dlq"), 2), (("--kind", "not_json"), 2), (("--identity", "ann"), 3),
        (("--identity", "bob"), 0), (("--id", "s1"), 1), (("--id", f"signals/{PLACE}/1"), 1),
        (("--since", show_time(later)), 1 + (later == middle) * 2), (("--until", later + 1), 3), (("--until", 5), 0),
    ]:  # fmt: skip
        assert listed(call("list", "--json", *arguments))["total"] == count, arguments
    assert len(listed(call("list", "--json", "--limit", 1))["letters"]) == 1
    assert call("list", "--limit", 501).exit_code == 2


def test_show_tells_one_and_hides_secrets_unless_raw(call, send):
    value = orjson.dumps({**GOOD, "name": "joy", "password": "p-1"})
    send(dead("signals", 1, value, "invalid", ce_id="c1"))
    place = f"signals/{PLACE}/0"
    shown = call("show", place)
    assert shown.exit_code == 0, shown.stderr
    assert "p-1" not in shown.stdout
    assert "reason: signals: refused" in shown.stdout
    assert "id: c1" in shown.stdout
    raw = json.loads(call("show", place, "--raw", "--json").stdout)
    assert raw["value"] == value.decode()
    missing = call("show", f"signals/{PLACE}/9")
    assert (missing.exit_code, "no offset 9" in missing.stderr) == (2, True)


def test_redrive_puts_the_bytes_back_under_the_first_id_and_on_record(call, send, here):
    value = orjson.dumps(GOOD)
    send(dead("signals", 4, value, "agent_error", traceparent="00-1"))
    place = f"signals.dlq/{PLACE}/0"
    assert call("redrive", place, "--reason", "fixed", "--by", "op").exit_code == 0
    logs = stands(here, "signals", "dlq-actions")
    (raw,) = logs["signals", PLACE]
    headers = dict(raw.headers)
    assert (raw.key, raw.value) == (b"ann", value)
    assert (headers["ce_id"], headers["traceparent"]) == (f"signals/{PLACE}/4".encode(), b"00-1")
    assert (headers["endocrine-redriven-by"], headers["endocrine-redriven-from"]) == (b"op", place.encode())
    assert not {"endocrine-error", "endocrine-error-kind", "endocrine-origin"} & set(headers)
    (action,) = [orjson.loads(raw.value) for n in range(2) for raw in logs["dlq-actions", n]]
    assert (action["action"], action["by"], action["reason"]) == ("redrive", "op", "fixed")
    assert action["origin"] == f"signals/{PLACE}/4"
    assert listed(call("list", "--json"))["letters"][0]["status"] == "redriven"
    second = call("redrive", place)
    assert (second.exit_code, "redriven by op before" in second.stderr) == (1, True)
    assert call("redrive", place, "--again").exit_code == 0
    assert len(stands(here, "signals")["signals", PLACE]) == 2
    assert "redrive by tess" in call("show", place).stdout


def test_more_than_one_is_only_told_unless_yes_and_keeps_its_order(call, send, here):
    send(*(dead("signals", n, orjson.dumps({**GOOD, "ts": float(n)}), "agent_error") for n in range(1, 6)))
    dry = call("redrive", "--topic", "signals")
    assert (dry.exit_code, "would redrive 5 dead letters; nothing was done" in dry.stdout) == (0, True)
    assert list(stands(here, "signals")["signals", PLACE]) == []
    done = call("redrive", "--topic", "signals", "--yes", "--json")
    assert json.loads(done.stdout)["done"] == 5
    assert [orjson.loads(raw.value)["ts"] for raw in stands(here, "signals")["signals", PLACE]] == [1, 2, 3, 4, 5]
    assert call("redrive").exit_code == 2
    assert call("redrive", "--topic", "signals", "--yes").exit_code == 1


def test_discard_hides_a_dead_letter_and_says_who(call, send):
    send(dead("signals", 1, b"{", "not_json"), dead("signals", 2, b"[", "not_json"))
    assert call("discard", f"signals/{PLACE}/0", "--by", "op").exit_code == 0
    told = listed(call("list", "--json"))
    assert (told["total"], told["discarded_hidden"]) == (1, 1)
    every = listed(call("list", "--json", "--all"))
    assert {row["status"]: row["by"] for row in every["letters"]} == {"discarded": "op", "open": None}


def test_errors_name_what_was_expected(call):
    assert "'soon' is no time" in call("list", "--since", "soon").stderr
    assert "expected one of" in call("list", "--topic", "joy").stderr
    assert call("list", "--topic", "joy").exit_code == 2
    away = call("list", "--bootstrap", "127.0.0.1:1")
    assert (away.exit_code, "Traceback" in away.stderr) == (2, False)


async def test_a_redriven_record_meets_its_agents_again_under_its_first_id(here, call):
    """Refused for its bytes, it comes back as a new dead letter; sound, it is thought as if it had never failed."""
    settings = here
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    await producer.start()
    opened = {
        "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
        "prompt": "Hello?", "ts": 1.0,
    }  # fmt: skip
    topic, value, headers = dead("interactions", 7, orjson.dumps(opened), "agent_error")
    async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
        await producer.send_and_wait(settings.prefix + topic, value, key=b"ann", partition=PLACE, headers=headers)
        await producer.send_and_wait(settings.prefix + "interactions", b"{", key=b"ann", partition=PLACE)
        await at_rest(worker, consumer)
        done = await asyncio.to_thread(call, "redrive", "--topic", "interactions", "--yes", "--by", "op")
        assert done.exit_code == 0, done.stderr
        await at_rest(worker, consumer)
    await producer.stop()
    await consumer.stop()
    logs = await read_logs(settings, ["modulations", "interactions.dlq"])
    (said,) = logs["modulations", PLACE]
    assert dict(said.headers)["ce_id"] == f"modulation/interactions/{PLACE}/7/0".encode()
    again = logs["interactions.dlq", PLACE][-1]
    assert again.value == b"{"
    assert dict(again.headers)["ce_id"] == f"interactions/{PLACE}/0".encode()
    assert dict(again.headers)["endocrine-redriven-by"] == b"op"
