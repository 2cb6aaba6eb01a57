"""Turns, tool calls and captures over HTTP, on a worker."""

import asyncio
import json
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


def turn(who, **more):
    return {"identity": who, "prompt": "How long do refunds take?", **more}


async def test_a_turn_is_opened_decided_and_closed(door, who):
    async with door.client() as client:
        opened = await client.post("/v1/turns", json=turn(who))
        assert opened.status_code == 201, opened.text
        body = opened.json()
        assert (body["identity"], body["revision"], body["admitted"]) == (who, 0, True)
        assert body["parameters"]["safety_mode"] == body["mode"]
        assert {one["name"] for one in body["functions"]}
        assert [hop.split(";")[0] for hop in opened.headers["server-timing"].split(", ")] == [
            "ack",
            "decide",
            "deliver",
        ]
        assert opened.headers["x-request-id"]
        closed = await client.post(
            f"/v1/turns/{body['audit_id']}/close", json={"identity": who, "response": "Ten days."}
        )
        assert closed.status_code == 202, closed.text


async def test_an_allowed_call_is_200_and_a_denied_one_403_with_its_reason(door, who):
    async with door.client() as client:
        risky = turn(who, signals=[{"name": "alignment_risk", "level": 0.8}])
        opened = (await client.post("/v1/turns", json=risky)).json()
        assert opened["mode"] == "strict"
        call = {"identity": who, "audit_id": opened["audit_id"], "step": 1}
        search = {**call, "call_id": "c1", "tool": "retrieve_knowledge", "arguments": {"query": "refunds"}}
        allowed = await client.post("/v1/tool-calls", json=search)
        assert (allowed.status_code, allowed.json()["decision"]) == (200, "allowed"), allowed.text
        execute = {**call, "call_id": "c2", "tool": "exec_code", "arguments": {"code": "1"}}
        denied = await client.post("/v1/tool-calls", json=execute)
        assert denied.status_code == 403
        assert denied.headers["content-type"] == "application/problem+json"
        problem = denied.json()
        assert (problem["type"], problem["decision"]) == ("/problems/tool_denied", "denied")
        assert problem["reason"]
        both = await client.post("/v1/tool-calls", json=[{**search, "call_id": "c3"}, {**execute, "call_id": "c4"}])
        assert [one["status"] for one in both.json()["results"]] == [200, 403]


async def test_a_call_that_is_asked_again_has_the_same_answer(door, who):
    async with door.client() as client:
        opened = (await client.post("/v1/turns", json=turn(who))).json()
        call = {"identity": who, "audit_id": opened["audit_id"], "call_id": "c1", "tool": "retrieve_knowledge",
                "arguments": {"query": "refunds"}}  # fmt: skip
        first, second = [await client.post("/v1/tool-calls", json=call) for _ in range(2)]
        assert first.json()["decision"] == second.json()["decision"] == "allowed"
        other = await client.post("/v1/tool-calls", json={**call, "arguments": {"query": "salaries"}})
        assert (other.status_code, other.json()["reason"]) == (403, "conflicting_call")


async def test_a_call_of_a_turn_that_nobody_opened_is_denied(door, who):
    async with door.client() as client:
        call = {"identity": who, "audit_id": "nobody", "call_id": "c", "tool": "retrieve_knowledge",
                "arguments": {"query": "x"}}  # fmt: skip
        answer = await client.post("/v1/tool-calls", json=call)
        assert (answer.status_code, answer.json()["reason"]) == (403, "unknown_turn")


async def test_a_retry_under_its_key_is_the_same_turn_and_another_body_is_refused(door, who):
    async with door.client(**{"idempotency-key": f"order {who}"}) as client:
        first = await client.post("/v1/turns", json=turn(who))
        again = await client.post("/v1/turns", json=turn(who))
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        other = await client.post("/v1/turns", json=turn(who, prompt="Another?"))
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency_mismatch")


@pytest.mark.parametrize("shared", [True, False], ids=["redis remembers", "kafka alone remembers"])
async def test_a_retry_at_another_gateway_has_the_answer_of_the_first(door, who, shared, request):
    from endocrine.pipeline.gateway.idempotency import Idempotency
    from endocrine.pipeline.gateway.shared import Shared

    gateway = door.gateway
    ours = gateway.idempotency
    request.addfinalizer(lambda: object.__setattr__(gateway, "idempotency", ours))
    key = {"idempotency-key": f"moved {who}"}
    async with door.client(**key) as client:
        first = await client.post("/v1/turns", json=turn(who))
        # As another gateway: nothing remembered in process, and without Redis nothing at all.
        other = Idempotency(Shared(gateway.redis if shared else None, door.settings.prefix))
        object.__setattr__(gateway, "idempotency", other)
        again = await client.post("/v1/turns", json=turn(who))
        assert again.status_code == 201, again.text
        assert again.json() == first.json()
        if not shared:
            object.__setattr__(gateway, "idempotency", Idempotency(Shared(None)))
            changed = await client.post("/v1/turns", json=turn(who, prompt="Something else?"))
            assert changed.status_code in (409, 422), changed.text


async def test_a_second_opening_of_a_turn_with_other_content_is_a_conflict_at_once(door, who):
    async with door.client() as client:
        assert (await client.post("/v1/turns", json=turn(who, audit_id=f"t {who}"))).status_code == 201
        second = await client.post("/v1/turns", json=turn(who, audit_id=f"t {who}", prompt="Other"))
        assert (second.status_code, second.json()["reason"]) == (409, "conflicting_turn")


async def test_batches_answer_each_line(door, who):
    async with door.client() as client:
        good = {"identity": who, "name": "stress", "level": 0.5}
        answer = await client.post("/v1/signals", json=[good, {**good, "name": "joy"}, {**good, "level": "high"}, 7])
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [one["status"] for one in results] == [202, 422, 422, 422]
        assert [one["error"].get("field") for one in results[1:3]] == ["name", "level"]
        lines = "\n".join(json.dumps(good) for _ in range(3))
        answer = await client.post("/v1/signals", content=lines, headers={"content-type": "application/x-ndjson"})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["status"] for line in answer.text.splitlines()] == [202] * 3


async def test_feedback_takes_user_id_and_observations_identity(door, who):
    async with door.client() as client:
        card = {"user_id": who, "target_action_id": "t", "rating": 4}
        assert (await client.post("/v1/feedback", json=card)).status_code == 202
        window = {"start_ts": 1.0, "end_ts": 2.0}
        about = {"identity": who, "primitive": "cognitive.cognitive_load", "id": f"o {who}"}
        seen = {**about, "value": 0.5, "confidence": 0.9, "source": "s", "window": window}
        answer = await client.post("/v1/observations", json=seen)
        assert answer.status_code == 202, answer.text


async def test_an_operator_approves_and_sees_the_outcome(door, who):
    async with door.client() as client:
        body = {"identity": who, "audit_id": "nothing waits"}
        answer = await client.post("/v1/commands/approve-turn?wait=10", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (409, "not_held"), answer.text
        assert (await client.post("/v1/commands/cap", json={"identity": who, "cap": 1})).status_code == 202
        assert (await client.post("/v1/commands/explode", json={"identity": who})).status_code == 404


async def test_a_cap_refuses_with_429_what_a_key_that_observes_is_given(door, who):
    async with door.client() as client:
        await client.post("/v1/commands/cap", json={"identity": who, "cap": 1})
        statuses = [(await client.post("/v1/turns", json=turn(who))).status_code for _ in range(2)]
        assert 429 in statuses or statuses == [201, 201]  # the cap itself is on its way
        refused = await client.post("/v1/turns", json=turn(who))
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/rate_limited")
        assert refused.json()["turn"]["admitted"] is False
    async with door.client(door.key("capture", mode="observe")) as observer:
        seen = await observer.post("/v1/turns", json=turn(who))
        assert seen.status_code == 201
        assert seen.headers["endocrine-would"] == "refused,rate_limited"


async def test_reads_show_the_turn_and_its_words_only_with_the_scope(door, who, eventually):
    async with door.client() as client, door.client(door.key("read")) as reader:
        opened = (await client.post("/v1/turns", json=turn(who, project="p1"))).json()
        audit_id = opened["audit_id"]
        call = {"identity": who, "audit_id": audit_id, "call_id": "c", "tool": "exec_code", "arguments": {"code": "1"}}
        await client.post("/v1/tool-calls", json={**call, "tool": "no_such_tool"})
        await client.post(f"/v1/turns/{audit_id}/close", json={"identity": who, "response": "Ten days."})
        found = await eventually(
            lambda: client.get(f"/v1/turns/{audit_id}"), lambda a: a.status_code == 200 and a.json()["closed"]
        )
        assert found.json()["opened"]["prompt"] == "How long do refunds take?"
        assert found.json()["closed"]["response"] == "Ten days."
        assert "prompt" not in (await reader.get(f"/v1/turns/{audit_id}")).json()["opened"]
        listed = (await reader.get("/v1/interactions", params={"identity": who})).json()
        assert [one["audit_id"] for one in listed["items"]] == [audit_id]
        assert listed["next"] is None
        incidents = await eventually(
            lambda: reader.get("/v1/incidents", params={"identity": who}), lambda a: a.json()["items"]
        )
        assert incidents.json()["items"][0]["attempted"] == "no_such_tool"
        stats = (await reader.get("/v1/incidents/stats", params={"identity": who})).json()
        assert (stats["total"], stats["kind"]) == (1, {"tool_blocked": 1})
        table = await reader.get("/v1/incidents", params={"identity": who, "format": "csv"})
        assert table.text.splitlines()[0].startswith("ts,kind,identity")
        audit = await eventually(lambda: reader.get(f"/v1/audits/{audit_id}"), lambda a: a.status_code == 200)
        assert audit.json()["bundle"]["audit_id"] == audit_id
        assert audit.json()["altered"] == []
        page = await reader.get(f"/v1/audits/{audit_id}", params={"format": "html"})
        assert page.text.startswith("<!doctype html>")
        whole = (await reader.get(f"/v1/identities/{who}")).json()
        assert [one["audit_id"] for one in whole["turns"]] == [audit_id]
        assert (await reader.get("/v1/tools")).json()["items"]
        assert (await reader.get("/v1/analytics")).status_code == 200
        letters = await reader.get("/v1/dead-letters", params={"identity": who})
        assert letters.json()["total"] == 0


async def test_pages_go_on_where_the_one_before_ended(door, who, eventually):
    async with door.client() as client:
        ids = [(await client.post("/v1/turns", json=turn(who))).json()["audit_id"] for _ in range(5)]
        ask = {"identity": who, "limit": 2}
        await eventually(
            lambda: client.get("/v1/interactions", params={"identity": who}), lambda a: len(a.json()["items"]) == 5
        )
        seen, cursor = [], None
        while True:
            page = (await client.get("/v1/interactions", params=ask | ({"cursor": cursor} if cursor else {}))).json()
            seen += [one["audit_id"] for one in page["items"]]
            if (cursor := page["next"]) is None:
                break
        assert seen == ids[::-1]


async def test_events_come_live_and_resume_after_the_last_one(door, who, sse):
    async with door.client() as client:
        params = {"identity": who, "topic": "modulations"}
        text, listening = "", asyncio.Event()

        async def listen():
            nonlocal text
            async with client.stream("GET", "/v1/events", params=params) as stream:
                async for piece in stream.aiter_text():
                    text += piece
                    listening.set()
                    if len(sse(text)) >= 2:
                        return

        task = asyncio.create_task(listen())
        async with asyncio.timeout(120):
            await listening.wait()
            while len(sse(text)) < 1:
                await client.post("/v1/turns", json=turn(who))
            await client.post("/v1/turns", json=turn(who))
            await task
        first = sse(text)[0]
        assert (first[0], first[1]["identity"]) == ("modulations", who)
        got = ""
        async with (
            asyncio.timeout(120),
            client.stream("GET", "/v1/events", params=params, headers={"last-event-id": first[2]}) as stream,
        ):
            async for piece in stream.aiter_text():
                got += piece
                if sse(got):
                    break
        assert sse(got)[0][2] == sse(text)[1][2]


async def test_a_key_has_its_scopes_its_rate_and_its_identity(door, who):
    async with door.client("ek_wrong") as stranger:
        answer = await stranger.get("/v1/tools")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="endocrine"')
    async with door.client(door.key("read")) as reader:
        answer = await reader.post("/v1/turns", json=turn(who))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    async with door.client(door.key("read", rate=0.01, burst=2)) as slow:
        statuses = [(await slow.get("/v1/tools")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
    fixed = door.key("capture", "read", identity="fixed", fixed_identity=who)
    async with door.client(fixed) as own:
        assert (await own.post("/v1/turns", json={"prompt": "?"})).json()["identity"] == who
        answer = await own.post("/v1/turns", json=turn("somebody"))
        assert (answer.status_code, answer.json()["field"]) == (403, "identity")
        assert (await own.get("/v1/identities/somebody")).status_code == 403
    async with door.client("", **{"x-api-key": door.secret}) as other:
        assert (await other.get("/v1/tools")).status_code == 200


async def test_health_says_what_runs(door):
    async with door.client("") as client:
        assert (await client.get("/livez")).json() == {"status": "live"}
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["checks"] | {"lag": 0} == {"broker": True, "following": True, "lag": 0, "views": True}
        assert (await client.get("/health")).json()["policy"] == door.gateway.policy.digest
        assert "endocrine_gateway_requests_total" in (await client.get("/metrics")).text
        assert "Do not run it" in (await client.get("/problems/tool_denied")).text


async def test_time_given_by_the_caller_is_kept(door, who):
    ts = time.time() - 5
    async with door.client() as client:
        assert (await client.post("/v1/turns", json=turn(who, ts=ts))).json()["ts"] == ts
