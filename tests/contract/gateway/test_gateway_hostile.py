"""What a client may send: no input is a 500, bounds hold, forged decisions reach nobody, nobody deciding is 503."""

import asyncio
import json
import uuid
from urllib.parse import urlsplit

import orjson
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from endocrine.agents._shared.arguments import digest_of
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.gateway.app import ROWS
from endocrine.pipeline.replay.logs import read_logs
from waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"content-type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(alone):
    """A gateway without any worker behind it: nobody decides."""
    async with alone(decision_s=0.5, advice_s=0.5, read_s=1.0, waiting=4) as made:
        yield made


NASTY = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b"NaN",
    b'{"ts": NaN}',
    b'{"ts": 1e999}',
    b'{"ts": -1}',
    b'{"ts": 123456789012345678901234567890}',
    b'{"identity": "\\ud800"}',
    b'{"identity": "\xff"}',
    b'{"identity": ""}',
    b'{"identity": 7}',
    b'{"identity": "$registry"}',
    b'{"identity": "' + b"x" * 300 + b'"}',
    b"[" * 5000,
    b"[" * 400 + b"]" * 400,
    b'{"a":' * 400 + b"1" + b"}" * 400,
    b'{"identity": "ann", "arguments": {"a": 1e308}, "prompt": "\\u0000", "signals": [{"name": []}]}',
    b'{"identity": "ann", "id": "' + b"i" * 300 + b'"}',
    b'{"identity": "ann", "user_id": "bob", "user": {}}',
    b"[[[]], {}, null, 1.5]",
    b"\xef\xbb\xbf{}",
]


IDS = {"audit_id": "a/b", "kind": "note", "conflict_id": "c", "memory_id": "m", "subject": "ann", "identity": "ann"}


@pytest.mark.parametrize("path", sorted({row.path for row in ROWS if row.method == "POST"}))
async def test_no_body_is_a_fault_of_ours(door, path):
    async with door.client() as client:
        for body in NASTY:
            answer = await client.post(
                path.format(**IDS),
                content=body,
                headers=JSON,
            )
            assert 400 <= answer.status_code < 500 or answer.status_code == 200, (body[:60], answer.text)
            if answer.status_code != 200:
                problem = answer.json()
                assert answer.headers["content-type"] == "application/problem+json"
                assert {"type", "title", "status", "detail", "request_id"} <= problem.keys()


QUERIES = [
    "limit=0", "limit=501", "limit=x", "cursor=%ff", "cursor=AAAA", "since=yesterday", "since=1e400", "since=-1",
    "until=99999999999999", "format=xml", "nobody=1", "limit=1&limit=2", "limit=%00", "topic=none", "kind=%F0%9F",
]  # fmt: skip


@pytest.mark.parametrize("path", sorted({row.path for row in ROWS if row.method == "GET"} - {"/v1/events"}))
async def test_no_query_and_no_path_is_a_fault_of_ours(door, path):
    async with door.client() as client:
        for name in ("ann", "%00", "%F0%9F", "a%2Fb", "x" * 2000, "..%2F..", "%E2%80%AE"):
            for query in QUERIES if name == "ann" else [""]:
                answer = await client.get(f"{path.replace('{audit_id}', name).replace('{identity}', name)}?{query}")
                assert answer.status_code < 500, (path, name, query, answer.text)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json; charset=UTF-8"}, 422),
        ({"content-type": "application/json", "idempotency-key": "x" * 256}, 422),
        ({"content-type": "application/json", "endocrine-identity": b"\xff\xfe"}, 422),
        ({"content-type": "application/json", "traceparent": "nonsense", "x-request-id": "a b"}, 422),
    ],
)
async def test_headers_that_do_not_fit_are_named(door, headers, status):
    async with door.client() as client:
        answer = await client.post("/v1/turns", content=b'{"prompt": 7}', headers=headers)
        assert answer.status_code == status, answer.text


async def test_a_header_that_names_no_identity_is_refused_at_every_door_used_or_not(door):
    async with door.client(**{"endocrine-identity": "x" * 257}) as client:
        for row in ROWS:
            path = row.path.replace("{", "").replace("}", "")
            answer = await client.request(row.method, path, json={} if row.body else None)
            assert answer.status_code == 422, (row.method, path, answer.text)
            assert answer.json()["detail"].startswith("header endocrine-identity: "), path


async def test_what_is_not_served_is_404_or_405_as_a_problem(door):
    async with door.client() as client:
        for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/v1/turns", 405), ("GET", "/v1/turns", 405)):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path


async def raw(door, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Bytes as they are onto a connection; what came back until it ended."""
    where = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
    except ConnectionError:
        pass
    async with asyncio.timeout(120):
        try:
            found = await reader.read()
        except ConnectionError:
            found = b""
    writer.close()
    return found


async def test_bodies_and_headers_beyond_their_bounds_are_refused(door):
    async with door.client() as client:
        large = await client.post("/v1/turns", content=b'{"prompt": "' + b"x" * (1 << 20) + b'"}', headers=JSON)
        assert (large.status_code, large.json()["type"]) == (413, "/problems/too_large")
        named = await client.get("/v1/tools", headers={"x-large": "x" * (33 << 10)})
        assert (named.status_code, named.json()["type"]) == (431, "/problems/headers_too_large")
    endless = [b"GET /livez HTTP/1.1\r\nhost: x\r\n", *[b"x-a: " + b"y" * 8000 + b"\r\n"] * 5]
    assert (await raw(door, *endless)).startswith(b"HTTP/1.1 431 ")
    assert (await raw(door, b"\x16\x03\x01 not http\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_body_or_headers_that_do_not_come_end_in_time(door):
    head = f"POST /v1/turns HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {door.secret}\r\n".encode()
    slow = head + b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    assert (await raw(door, slow)).startswith(b"HTTP/1.1 408 ")
    assert await raw(door, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-unfinished: ") == b""


async def test_nobody_decides_and_so_the_call_may_not_run(door, who):
    call = {"identity": who, "audit_id": "t", "call_id": "c", "tool": "retrieve_knowledge", "arguments": {"query": "x"}}
    async with door.client() as client:
        answer = await client.post("/v1/tool-calls", json=call)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/decision_timeout")
        assert answer.headers["retry-after"] == "1"


async def test_advice_that_is_late_is_the_strict_default(door, who):
    async with door.client() as client:
        answer = await client.post("/v1/turns", json={"identity": who, "prompt": "?"})
        assert (answer.status_code, answer.headers["endocrine-advice"]) == (201, "late")
        body = answer.json()
        assert (body["advice"], body["mode"], body["parameters"]["safety_mode"]) == ("late", "strict", "strict")

        async def on_record():
            logs = await read_logs(door.settings, ["late-advice"])
            return [
                value for log in logs.values() for raw in log if (value := orjson.loads(raw.value))["identity"] == who
            ]

        (record,) = await until(on_record)
    assert (record["audit_id"], record["within_ms"], record["mode"]) == (body["audit_id"], 500, "strict")


@pytest.mark.parametrize("sealed", [None, b"k:" + b"0" * 32], ids=["no seal", "a made-up seal"])
async def test_a_forged_decision_reaches_no_client(door, who, sealed):
    call = {"identity": who, "audit_id": "t", "call_id": "c", "tool": "retrieve_knowledge", "arguments": {"query": "x"}}
    decision = {
        "call_id": "c", "audit_id": "t", "identity": who, "function": "retrieve_knowledge", "tool": "retrieval",
        "decision": "allowed", "reason": None, "incident_id": None, "policy": "0" * 64, "ts": 1.0,
        "arguments_digest": digest_of(call["arguments"]),
    }  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=door.settings.bootstrap)
    await producer.start()
    headers = [("ce_id", b"gating/x/0"), ("endocrine-origin", b"gating/t/0/0/0")]
    headers += [("endocrine-seal", sealed)] if sealed else []
    before = door.gateway.awaiting.dropped
    try:
        async with door.client() as client:
            asking = asyncio.create_task(client.post("/v1/tool-calls", json=call))
            while not door.gateway.awaiting.watches.count:  # noqa: ASYNC110 - it is a plain count
                await asyncio.sleep(0)
            await producer.send_and_wait(
                door.settings.prefix + "tool-decisions",
                orjson.dumps(decision),
                key=who.encode(),
                partition=partition_of(who, door.settings.partitions),
                headers=headers,
            )
            assert (await asking).status_code == 503
    finally:
        await producer.stop()
    assert door.gateway.awaiting.dropped > before, "it was seen, and not believed"


async def test_more_than_may_wait_are_told_to_come_again(door):
    async with door.client() as client:
        body = {"prompt": "?"}
        asked = [client.post("/v1/turns", json={**body, "identity": f"w{uuid.uuid4().hex}"}) for _ in range(12)]
        answers = await asyncio.gather(*asked)
        statuses = sorted(answer.status_code for answer in answers)
        assert set(statuses) == {201, 503}
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)


async def test_the_document_that_is_served_names_every_row(door):
    async with door.client() as client:
        document = (await client.get("/openapi.json")).json()
    named = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    assert {(row.method, row.path) for row in ROWS} <= named
    assert document["paths"]["/v1/turns"]["post"]["responses"].keys() >= {"200", "201", "202", "429", "503"}
    assert "prompt" in document["components"]["schemas"]["TurnRequest"]["required"]
    assert json.dumps(document)


async def test_reads_without_redis_are_503_and_captures_go_on(alone, who):
    async with alone(redis_url="redis://127.0.0.1:1/0", advice_s=0.5) as made, made.client() as client:
        answer = await client.get("/v1/interactions")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/views_away")
        signal = {"identity": who, "name": "stress", "level": 0.5}
        assert (await client.post("/v1/signals", json=signal, headers={"idempotency-key": who})).status_code == 202
        assert (await client.get("/v1/tools")).status_code == 200
        assert (await client.get("/readyz")).json()["checks"]["views"] is False


async def test_without_keys_only_this_machine_is_served_and_no_web_page(alone):
    async with alone(keys=False) as made, made.client("") as client:
        assert (await client.get("/v1/tools")).status_code == 200
        for headers in ({"host": "attacker.example"}, {"sec-fetch-site": "cross-site"}):
            answer = await client.get("/v1/tools", headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not_loopback")
