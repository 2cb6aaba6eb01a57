"""Every door of the gateway with an alias, the id, an empty and an unregistered name; commands on names."""

import asyncio
import time

import orjson
import pytest
import pytest_asyncio

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.data.names import registration, sent
from endocrine.pipeline.kafka.name_reader import read_names
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import load_seals

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def named(own_door):
    """The gateway, after `Ann` with the alias `A.S.` and the project `p05-x` with `p05` were registered through it."""
    async with own_door.client() as client:
        for scope, name, registered_id in (
            ("identity", "Ann", None),
            ("identity", "A.S.", "Ann"),
            ("project", "p05-x", None),
            ("project", "p05", "p05-x"),
        ):
            body = {"scope": scope, "name": name, "registered_id": registered_id, "description": None}
            answer = await client.post("/v1/names?wait=30", json=body)
            assert (answer.status_code, answer.json()["outcome"]["kind"]) == (200, "registered"), answer.text
    yield own_door


async def recorded(door, topic, record_id):
    """Key and value of a record that was captured."""
    async for _, _, records in batches(door.settings, [topic]):
        for raw in records:
            if raw.value and orjson.loads(raw.value).get("id") == record_id:
                return raw.key.decode(), orjson.loads(raw.value)
    raise AssertionError(f"{record_id} is not on {topic}")


BODIES = {
    "/v1/turns/t1/close": ("interactions", {"response": "This."}),
    "/v1/signals": ("signals", {"name": "stress", "level": 0.5}),
    "/v1/feedback": ("feedback", {"target_action_id": "t1", "rating": 4}),
    "/v1/tool-results": ("tool-results", {"call_id": "c", "audit_id": "t1", "tool": "retrieval", "status": "ok"}),
    "/v1/detections": (
        "detections",
        {"phase": "p", "risk_level": "low", "childhood_archetype": "a", "egg_status": "none", "confidence": 0.5,
         "signals": [], "turn_count": 1, "ulm": {}},
    ),
    "/v1/observations": (
        "observations",
        {"primitive": "motor.input_modality", "value": "typed", "confidence": 0.5, "source": "s",
         "window": {"start_ts": 1.0, "end_ts": 2.0}},
    ),
    "/v1/commands/cap": ("commands", {"cap": 3}),
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_is_recorded_under_the_id_and_an_unregistered_name_under_itself(named, path):
    topic, body = BODIES[path]
    field = "identity_ref" if topic == "observations" else "identity"
    async with named.client() as client:
        for name, meant in (("a.s.", "Ann"), (" ANN ", "Ann"), ("Ann", "Ann"), ("Bob", "Bob")):
            answer = await client.post(path, json={**body, "identity": name})
            assert answer.status_code == 202, answer.text
            key, value = await recorded(named, topic, answer.json()["id"])
            assert (key, value[field]) == (meant, meant)
        for name in ("", "$registry", "Project:x"):
            answer = await client.post(path, json={**body, "identity": name})
            assert (answer.status_code, answer.json()["field"]) == (422, field)
            assert name in ("",) or "reserved_name" in answer.json()["detail"]


async def test_a_turn_is_opened_and_its_call_decided_under_the_id_and_the_project_of_an_alias(named):
    async with named.client() as client:
        for number, (name, project) in enumerate((("A.S.", "P05"), ("Ann", "p05-x"), ("ann", ""), ("Bob", "other"))):
            turn = {"audit_id": f"open-{number}", "id": f"o{number}"}
            opened = {"identity": name, "project": project, "prompt": "hello", **turn}
            answer = await client.post("/v1/turns", json=opened)
            whose = "Bob" if name == "Bob" else "Ann"
            assert (answer.status_code, answer.json()["identity"]) == (201, whose), answer.text
            key, value = await recorded(named, "interactions", f"o{number}")
            assert (key, value["project"]) == (whose, {"P05": "p05-x", "": None}.get(project, project))
            call = {"identity": name.upper() if whose == "Ann" else name, "call_id": f"c{number}"}
            call |= {"audit_id": turn["audit_id"], "tool": "retrieve_knowledge", "arguments": {"query": "x"}}
            answer = await client.post("/v1/tool-calls", json=call)
            assert answer.json()["identity"] == whose, answer.text
        answer = await client.post("/v1/turns", json={"identity": "Ann", "project": "p" * 201, "prompt": "hello"})
        assert (answer.status_code, answer.json()["field"]) == (422, "project")


async def test_reads_and_their_filters_take_an_alias(named, eventually):
    async with named.client() as client:
        opened = {"identity": "A.S.", "project": "p05", "prompt": "hi", "audit_id": "read-1"}
        await client.post("/v1/turns", json=opened)

        async def bond():
            return await client.get("/v1/bonds/a.s.")

        answer = await eventually(bond, lambda answer: answer.status_code == 200)
        assert answer.json()["user_id"] == "Ann"
        assert (await client.get("/v1/identities/ANN")).json()["identity"] == "Ann"
        assert (await client.get("/v1/bonds/a.s./events")).status_code == 200
        for query in ("identity=a.s.", "project=P05"):
            found = (await client.get(f"/v1/interactions?{query}")).json()["items"]
            assert "read-1" in [one["audit_id"] for one in found]
        for path in ("/v1/incidents", "/v1/incidents/stats", "/v1/dead-letters", "/v1/interactions"):
            assert (await client.get(f"{path}?identity=A.S.")).status_code == 200
            # Dead letters are found by the name that was sent: it may be why they were refused.
            expected = 200 if path == "/v1/dead-letters" else 422
            assert (await client.get(f"{path}?identity=$x")).status_code == expected


async def test_a_key_of_one_identity_may_name_it_by_an_alias(named):
    secret = named.key("capture", "read", identity="fixed", fixed_identity="a.s.")
    async with named.client(secret) as client:
        for name in ("ANN", "A.S.", None):
            body = {"name": "stress", "level": 0.5} | ({} if name is None else {"identity": name})
            answer = await client.post("/v1/signals", json=body)
            assert (await recorded(named, "signals", answer.json()["id"]))[0] == "Ann"
        answer = await client.post("/v1/signals", json={"name": "stress", "level": 0.5, "identity": "Bob"})
        assert answer.status_code == 403
        assert (await client.get("/v1/identities/ann")).status_code == 200
        names = (await client.get("/v1/names")).json()["items"]
        assert {one["registered_id"] for one in names} == {"Ann"}
        assert (await client.get("/v1/identities/bob")).status_code == 403


async def test_the_header_of_a_request_may_be_an_alias(named):
    async with named.client(**{"endocrine-identity": "a.s."}) as client:
        answer = await client.post("/v1/signals", json={"name": "stress", "level": 0.5})
        assert (await recorded(named, "signals", answer.json()["id"]))[0] == "Ann"


async def test_the_openai_endpoint_takes_aliases_in_user_and_headers(named, who, eventually):
    async with named.client() as client:
        for number, (headers, user) in enumerate((({"endocrine-identity": "A.S."}, None), ({}, "ann"))):
            text = f"{who} {number}"
            body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}], "user": user}
            headers = {**headers, "endocrine-project": "P05"}
            asking = asyncio.create_task(client.post("/openai/v1/chat/completions", json=body, headers=headers))
            found = await eventually(lambda text=text: opened_with(named, text), bool)
            assert (found["identity"], found["project"]) == ("Ann", "p05-x")
            asking.cancel()


async def opened_with(door, prompt):
    async for _, _, records in batches(door.settings, ["interactions"]):
        for raw in records:
            value = orjson.loads(raw.value)
            if value.get("prompt") == prompt:
                return value
    return None


async def test_commands_on_names_answer_with_what_became_of_them(named):
    async with named.client() as client:

        async def post(**body):
            return await client.post("/v1/names?wait=30", json={"scope": "project", **body})

        again = await post(name="P05", registered_id="p05-x")
        assert (again.status_code, again.json()["outcome"]["kind"]) == (200, "unchanged")
        taken = await post(name="P05-X")
        assert (taken.status_code, taken.json()["outcome"]["reason"]) == (409, "taken")
        assert taken.json()["outcome"]["holder"] == "p05-x"
        unknown = await post(name="q", registered_id="never")
        assert (unknown.status_code, unknown.json()["outcome"]["reason"]) == (409, "unknown")
        an_id = await post(kind="release_name", name="p05-x")
        assert (an_id.status_code, an_id.json()["outcome"]["reason"]) == (409, "is_an_id")
        assert (await post(name="gone", registered_id="p05-x")).status_code == 200
        released = await post(kind="release_name", name="GONE")
        assert (released.status_code, released.json()["outcome"]["kind"]) == (200, "released")
        assert named.gateway.names.project("gone") == "gone"
        for wrong in ({"name": ""}, {"name": "x", "kind": "set_cap"}, {"name": "x", "scope": "team"}, {"name": 7}):
            assert (await post(**wrong)).status_code == 422
        assert (await client.post("/v1/names", json={"scope": "project", "name": "later"})).status_code == 202
        page = (await client.get("/v1/names?limit=2")).json()
        rest = (await client.get("/v1/names", params={"cursor": page["next"], "limit": 500})).json()
        listed = [(one["scope"], one["name"].lower()) for one in page["items"] + rest["items"]]
        assert listed == sorted(set(listed))
        assert {("identity", "ann"), ("identity", "a.s."), ("project", "p05"), ("project", "p05-x")} <= set(listed)
    async with named.client(named.key("capture", "read")) as client:
        assert (await client.post("/v1/names", json={"scope": "project", "name": "x"})).status_code == 403


async def test_a_name_that_somebody_else_wrote_to_the_topic_is_not_believed(named, eventually):
    table = NameTable()
    forged = {"scope": "identity", "name": "boss", "registered_id": "Ann", "kind": "alias", "description": None,
              "roots": None, "effective_from": 1.0, "released_from": None, "by": "x", "ts": 1.0}  # fmt: skip
    producer = named.gateway.awaiting._producer
    place = partition_of("$registry", named.settings.partitions)
    topic = named.settings.prefix + "registry"
    await producer.send_and_wait(topic, orjson.dumps(forged), key=b"identity/boss", partition=place)
    outcomes = await sent(
        named.settings, load_seals(named.settings), table, [registration("identity", "Cy", "Cy", by="op", ts=1.0)], 30
    )
    assert [one["kind"] for one in outcomes] == ["registered"]
    assert table.identity("boss") == "boss"
    assert (await read_names(named.settings, load_seals(named.settings))).identity("CY") == "Cy"

    async def followed():
        return named.gateway.names.identity("cy")

    await eventually(followed, lambda name: name == "Cy")
    assert named.gateway.names.identity("boss") == "boss"


async def test_a_direct_producer_under_a_reserved_name_gets_a_dead_letter(named):
    about = {"name": "stress", "level": 0.5, "ttl_ms": 1, "source": "s", "ts": time.time()}
    await produce([{"topic": "signals", "value": {"identity": "project:p05-x", **about}}], named.settings)
    async with asyncio.timeout(60):
        while True:
            async for _, _, records in batches(named.settings, ["signals.dlq"]):
                if any(dict(raw.headers).get("endocrine-error-kind") == b"reserved_name" for raw in records):
                    return
