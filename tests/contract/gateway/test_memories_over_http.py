"""Memories and conflicts over HTTP: written, reviewed, disputed and decided, each with its event."""

import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT = {"wait": 30}


@pytest.fixture
def post(door):
    """Post a command and wait for its event: status and body."""

    async def sent(path, secret=None, wait=30, **body):
        async with door.client(secret) as client:
            answer = await client.post(path, params={"wait": wait}, json=body)
            return answer.status_code, answer.json()

    return sent


@pytest.fixture
def get(door):
    async def read(path, secret=None, **query):
        async with door.client(secret) as client:
            answer = await client.get(path, params=query)
            return answer.json() if answer.status_code == 200 else answer.status_code

    return read


async def test_candidates_are_listed_oldest_first_page_by_page_and_reviewed(who, post, get, eventually):
    ids = []
    for content in ("prefers tabs", "prefers blanks", "prefers neither"):
        told = {"subject": who, "type": "preference", "content": content, "status": "candidate"}
        status, answer = await post("/v1/memories", **told)
        assert (status, answer["outcome"]["kind"]) == (200, "created")
        ids.append(answer["outcome"]["memory_id"])
    ask = {"subject": who, "status": "candidate"}
    whole = await eventually(lambda: get("/v1/memories", **ask), lambda got: len(got["items"]) == 3)
    assert [one["memory_id"] for one in whole["items"]] == ids
    first = await get("/v1/memories", **ask, limit=2)
    rest = await get("/v1/memories", **ask, cursor=first["next"])
    assert [one["memory_id"] for one in (*first["items"], *rest["items"])] == ids
    assert rest["next"] is None

    at = f"/v1/memories/{ids[0]}"
    assert (await post(f"{at}/update", subject=who, content="prefers spaces"))[1]["outcome"]["kind"] == "updated"
    assert (await post(f"{at}/promote", subject=who, reason="yes"))[1]["outcome"]["new_status"] == "active"
    assert (await post(f"/v1/memories/{ids[1]}/reject", subject=who))[1]["outcome"]["new_status"] == "invalid"
    status, refused = await post(f"/v1/memories/{ids[1]}/promote", subject=who)
    assert (status, refused["reason"]) == (409, "wrong_status")
    status, voted = await post(f"{at}/opinion", subject=who, opinion="for", confidence=0.8)
    assert (status, voted["outcome"]["kind"], voted["outcome"]["strength"]) == (200, "voted", 0.85)
    shown = await eventually(lambda: get(at, subject=who), lambda got: got["strength"] == 0.85)
    late = {"subject": who, "content": "prefers both", "version": shown["version"] - 1}
    status, refused = await post(f"{at}/update", **late)
    assert (status, refused["reason"]) == (409, "older_version")
    assert (await post(f"{at}/supersede", subject=who))[1]["outcome"]["new_status"] == "superseded"
    status, refused = await post(f"/v1/memories/m-{24 * '0'}/invalidate", subject=who)
    assert (status, refused["reason"]) == (404, "unknown_memory")
    assert (await post("/v1/memories/m-1/promote", subject=who))[0] == 404, "no id has this form"
    assert (await post("/v1/memories/m-1/opinion", subject=who, opinion="for"))[0] == 404
    assert (await post("/v1/conflicts/c-1/resolve", subject=who, slot="pad", action="dismiss"))[0] == 404
    shown = await eventually(lambda: get(at, subject=who), lambda got: got["status"] == "superseded")
    assert shown["content"] == "prefers spaces"
    assert await get(f"/v1/memories/m-{24 * '0'}", subject=who) == 404


async def test_a_conflict_is_listed_and_resolved(who, post, get, eventually):
    subject, ids = f"project:{who}", []
    for value in ("PEEK", "steel"):
        told = {"subject": subject, "type": "adaptation", "content": value, "slot": "pad"}
        ids.append((await post("/v1/memories", **told))[1]["outcome"]["memory_id"])
    open_ones = {"subject": f"Project: {who}", "status": "open"}
    found = await eventually(lambda: get("/v1/conflicts", **open_ones), lambda got: got["items"])
    (conflict,) = found["items"]
    path = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
    told = {"subject": subject, "slot": "pad", "action": "supersede_others"}
    status, refused = await post(path, **told)
    assert (status, refused["reason"]) == (409, "winner_required")
    unknown = f"/v1/conflicts/c-{24 * '0'}/resolve"
    assert (await post(unknown, **told, winner=ids[0]))[0] == 404
    status, answer = await post(path, **told, winner=ids[1], reason="measured")
    assert (status, answer["outcome"]["kind"], answer["outcome"]["winner"]) == (200, "resolved", ids[1])
    await eventually(lambda: get("/v1/conflicts", **open_ones), lambda got: not got["items"])


async def test_reviewing_needs_its_scope_and_contents_theirs(door, who, post, get, eventually):
    told = {"subject": who, "type": "knowledge", "content": "secret"}
    assert (await post("/v1/memories", door.key("read", "content", "operate"), **told))[0] == 403
    reviewer = door.key("review", name=f"rev{who[-6:]}")
    status, answer = await post("/v1/memories", reviewer, **told, by="somebody else")
    assert (status, "content" in answer["outcome"], answer["outcome"]["by"]) == (200, False, f"rev{who[-6:]}")
    shown = await eventually(lambda: get("/v1/memories", door.key("read"), subject=who), lambda got: got["items"])
    assert "content" not in shown["items"][0]
    own = door.key("review", "read", identity="fixed", fixed_identity=f"{who}-other")
    assert (await post("/v1/memories", own, **told))[0] == 403
    assert await get("/v1/memories", own, subject=who) == 403


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/memories", {"type": "mood", "content": "x"}, "type"),
        ("/v1/memories", {"type": "project", "content": " "}, "content"),
        ("/v1/memories", {"subject": 7, "type": "project", "content": "x"}, "subject"),
        (f"/v1/conflicts/c-{24 * '0'}/resolve", {"slot": "pad", "action": "guess"}, "action"),
    ],
)
async def test_what_is_wrong_is_named(who, post, path, body, field):
    status, refused = await post(path, **{"subject": who, **body})
    assert (status, refused["field"]) == (422, field)


async def test_a_retry_under_the_same_key_writes_one_memory(door, who, get, eventually):
    told = {"subject": who, "type": "knowledge", "content": "said once", "ts": time.time()}
    async with door.client(**{"idempotency-key": who}) as client:
        answers = [await client.post("/v1/memories", params=WAIT, json=told) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len((await eventually(lambda: get("/v1/memories", subject=who), lambda got: got["items"]))["items"]) == 1
