"""The bond ledger over a broker and a Valkey that another program filled: left alone, taken over, listed, checked."""

import json
import time
import uuid

import orjson
import pytest
import redis.asyncio as redis

from command_line import command_line
from endocrine.pipeline.cli import bonds
from endocrine.pipeline.process.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
DB = 13


@pytest.fixture(scope="module")
def module_settings(broker, tmp_path_factory):
    """A Redis database of this file alone: an import reads all of it."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    return Settings(
        bootstrap=broker.bootstrap,
        redis_url=broker.redis_url,
        redis_db=DB,
        prefix=prefix,
        group=prefix + "group",
        data_dir=tmp_path_factory.mktemp("bonds"),
        partitions=2,
    )


@pytest.fixture
def door(own_door):
    return own_door


@pytest.fixture
def call(door, module_settings):
    """Run `endocrine bonds ...`; its exit code and the JSON that it prints."""
    command = command_line(module_settings.model_copy(update={"redis_db": DB}), bonds)

    async def run(*arguments):
        result = await command("bonds", *arguments, "--json")
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return run


def opening(who, number):
    return {"identity": who, "audit_id": f"{who}-{number}", "prompt": "Which rivers flow through Vienna?"}


async def test_a_taken_over_redis_keeps_its_ledger_and_its_caps(door, who, call, eventually):
    late, now = f"{who}-late", time.time()
    old = {"phase": "bonded", "risk_level": "high", "daily_msg_cap": 40, "daily_msg_count": 39,
           "daily_msg_reset_at": now - 60, "last_updated": int(now) - 60}  # fmt: skip
    event = {"event_type": "risk_change", "detail": "d", "data": {}}
    async with redis.from_url(door.settings.redis_url, db=DB) as views, door.client() as client:
        for user in (who, late):
            await views.set(f"abl:{user}", orjson.dumps(old))
            await views.lpush(f"abl:events:{user}", *(orjson.dumps(event | {"timestamp": n}) for n in range(450)))
        await views.set(f"abl:{who}-broken", b"{")
        # A record of the second user comes before anybody thought of importing: her keys stay as they are.
        assert (await client.post("/v1/commands/cap?wait=30", json={"identity": late, "cap": 3})).status_code == 200
        await eventually(lambda: views.scard("endocrine:bonds:foreign"), bool)
        assert orjson.loads(await views.get(f"abl:{late}")) == old
        assert await views.llen(f"abl:events:{late}") == 450

        code, counted = await call("import", "--dry-run")
        assert (code, counted["found"], counted["events"], counted["taken"]) == (1, 2, 900, 0)
        code, report = await call("import")
        assert (code, report["taken"], report["refused"]) == (1, 1, {"exists": [late]})
        assert (report["unreadable"], report["unconfirmed"]) == ([f"abl:{who}-broken"], [])

        shown = (await eventually(lambda: client.get(f"/v1/bonds/{who}/events?limit=500"),
                                  lambda got: len(got.json()["items"]) == 451)).json()["items"]  # fmt: skip
        assert [one["timestamp"] for one in shown[1:]] == [float(n) for n in reversed(range(450))]
        assert shown[0]["event_type"] == "admin_action"
        entry = (await client.get(f"/v1/bonds/{who}")).json()
        assert (entry["phase"], entry["daily_msg_cap"], entry["notes"]) == ("bonded", 40, [])
        checked = (await client.get(f"/v1/bonds/{who}/check")).json()
        assert (checked["allowed"], checked["remaining"], checked["count"]) == (True, 1, 39)
        assert (await call("check", who))[0] == 0
        first, second = [(await client.post("/v1/turns", json=opening(who, n))).status_code for n in (1, 2)]
        assert (first, second) == (201, 429), "the cap of 40 holds, with the 39 messages counted before"
        checked = await eventually(lambda: client.get(f"/v1/bonds/{who}/check"), lambda got: not got.json()["allowed"])
        assert (await call("check", who))[0] == 1
        later = await client.get(f"/v1/bonds/{who}/check?at={now + 86_401}")
        assert (later.json()["allowed"], later.json()["remaining"]) == (True, 40)

        code, report = await call("import", "--replace")
        assert (code, report["found"], report["taken"]) == (1, 1, 1)
        listed = await eventually(
            lambda: client.get("/v1/bonds?phase=bonded"), lambda got: len(got.json()["items"]) == 2
        )
        assert {one["user_id"] for one in listed.json()["items"]} == {who, late}
        low = (await client.get("/v1/bonds?risk=low&limit=500")).json()["items"]
        assert not {one["user_id"] for one in low} & {who, late}
        page = (await client.get("/v1/bonds?limit=1")).json()
        rest = (await client.get("/v1/bonds", params={"limit": 1, "cursor": page["next"]})).json()
        everyone = [one["user_id"] for one in (await client.get("/v1/bonds?limit=500")).json()["items"]]
        assert [page["items"][0]["user_id"], rest["items"][0]["user_id"]] == everyone[:2]
        assert [name for name in everyone if name in (who, late)] == [who, late], "the last updated first"


async def test_the_verbs_write_wait_for_the_event_and_show(who, call, eventually):
    code, event = await call("cap", who, 7, "--by", "tess")
    assert (code, event["detail"], event["data"]) == (0, "daily_msg_cap 0 -> 7 by tess", {"old": 0, "new": 7})
    code, event = await call("note", who, "likes rivers")
    assert (code, event["data"]["new"].endswith(" likes rivers")) == (0, True)
    code, shown = await eventually(lambda: call("show", who), lambda got: got[0] == 0 and got[1]["notes"])
    assert (shown["daily_msg_cap"], len(shown["notes"])) == (7, 1)
    code, found = await eventually(lambda: call("events", who), lambda got: len(got[1]["items"]) == 2)
    assert [one["event_type"] for one in found["items"]] == ["admin_action"] * 2
    assert who in {one["user_id"] for one in (await call("list"))[1]["items"]}
    assert (await call("show", "nobody"))[0] == 1
    assert (await call("note", who, "x" * 2001))[0] == 2
    assert (await call("cap", "$registry", 1))[0] == 2


async def test_a_note_that_no_worker_takes_is_sent_and_not_confirmed(who, call, monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.cli.common.CONFIRM_S", 0.0)
    code, said = await call("note", who, "hello")
    assert (code, "sent, not confirmed" in said) == (3, True)
