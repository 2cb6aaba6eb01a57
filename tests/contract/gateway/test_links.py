"""Links of identities over a broker: observed, applied by the console, read over HTTP by any name, and reversed."""

import hashlib
import json
import time

import pytest

from command_line import command_line
from endocrine.pipeline.cli import links, names
from endocrine.pipeline.data.ingest.produce import produce

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def call(door):
    """Run a command; its exit code, and the JSON or the error that it prints."""
    command = command_line(door.settings, links, names)

    async def run(*arguments):
        result = await command(*arguments, "--json")
        lines = result.stdout.splitlines()  # `names register` prints a line for each name
        return result.exit_code, json.loads(lines[-1]) if lines else result.stderr

    return run


async def seen(door, *people):
    """Each shows one keystroke and one endpoint of these people alone."""
    now, own = time.time(), hashlib.sha256(people[0].encode()).hexdigest()[:16]
    lines = [
        {"topic": "observations", "value": {
            "primitive": primitive, "value": own, "confidence": 1.0, "source": "test", "v": 1, "identity_ref": one,
            "window": {"start_ts": now, "end_ts": now}, "ts": now, "id": f"{one}-{primitive}",
        }}
        for one in people
        for primitive in ("motor.digraph_simhash", "toolchain.c2.c2_callback_endpoint")
    ]  # fmt: skip
    await produce(lines, door.settings)


async def test_a_link_is_applied_read_by_any_name_and_reversed(door, who, call, eventually):
    one, other = f"{who}-a", f"{who}-b"
    await seen(door, one, other)
    _, listed = await eventually(
        lambda: call("links", "list", one), lambda got: [x["status"] for x in got[1]["items"]] == ["proposed"]
    )
    assert (listed["items"][0]["score"], listed["group"]) == (0.91, [one])
    assert (await call("names", "register", one, "--alias", f"{who}-alias", "--scope", "identity"))[0] == 0
    code, event = await call("links", "apply", other, f"{who}-ALIAS", "--by", "tess", "--reason", "same desk")
    assert (code, event["kind"], event["a"], event["b"], event["by"]) == (0, "applied", one, other, "tess")
    async with door.client() as client:
        for name in (one, other, f"{who}-alias"):
            found = await eventually(
                lambda at=name: client.get(f"/v1/identities/{at}/group"), lambda got: len(got.json()["members"]) == 2
            )
            assert (found.json()["members"], found.json()["truncated"]) == ([one, other], False)
        shown = await client.get(f"/v1/identities/{who}-alias/links?status=applied")
        assert [(x["a"], x["b"], x["score"]) for x in shown.json()["items"]] == [(one, other, 0.91)]
        assert {x["class"] for x in shown.json()["items"][0]["evidence"]} == {"strong"}
        assert (await client.get(f"/v1/identities/{one}/links?status=merged")).status_code == 422
    async with door.client(door.key("read", identity="fixed", fixed_identity=one)) as fixed:
        assert (await fixed.get(f"/v1/identities/{one}/links")).status_code == 403
        assert (await fixed.get(f"/v1/identities/{one}/group")).status_code == 403
    async with door.client(door.key("review")) as reviewer:
        at = f"/v1/identities/{other}/links"
        ask = {"params": {"wait": 30}}
        done = await reviewer.post(f"{at}/reverse", json={"other": f"{who}-alias", "reason": "two desks"}, **ask)
        assert (done.status_code, done.json()["outcome"]["kind"]) == (200, "reversed")
        again = await reviewer.post(f"{at}/apply", json={"other": one}, **ask)
        assert (again.status_code, again.json()["outcome"]["new"]) == (200, "applied")
        strange = await reviewer.post(f"{at}/apply", json={"other": f"{who}-nobody"}, **ask)
        assert (strange.status_code, strange.json()["reason"]) == (404, "unknown_link")
        assert (await reviewer.post(f"{at}/apply", json={"other": other})).status_code == 422
    code, event = await call("links", "reverse", one, other)
    assert (code, event["kind"], event["new"]) == (0, "reversed", "observed")
    assert (await call("links", "reverse", one, other))[0] == 1
    code, event = await call("links", "dismiss", one, other)
    assert (code, event["new"]) == (0, "dismissed")
    _, shown = await eventually(lambda: call("links", "show", other, one), lambda got: got[1]["status"] == "dismissed")
    assert shown["evidence"]


async def test_what_is_no_link_is_refused(who, call):
    code, event = await call("links", "apply", f"{who}-x", f"{who}-y")
    assert (code, event["refusal"]) == (1, "unknown_link")
    assert (await call("links", "show", f"{who}-x", f"{who}-y"))[0] == 1
    assert (await call("links", "apply", who, who))[0] == 2
    assert (await call("links", "list", "$ops"))[0] == 2
    assert (await call("links", "list", who, "--status", "merged"))[0] == 2
