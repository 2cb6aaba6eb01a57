"""Bonds and trusted state by the Python client: reads fail open, writes fail closed."""

import ast
import json
from pathlib import Path

import httpx
import pytest

import endocrine_client
from endocrine_client import Endocrine, Refused, SyncEndocrine
from endocrine_client.operations import UNAVAILABLE


class Gateway:
    """Answers every request alike, and keeps them."""

    def __init__(self, status=200, value=None, error=None):
        self.status, self.value, self.error, self.asked = status, value or {}, error, []

    def handle(self, request):
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return httpx.Response(self.status, json=self.value)

    def client(self):
        return Endocrine("http://gateway.test", spool=False, transport=httpx.MockTransport(self.handle))

    def blocking(self):
        return SyncEndocrine("http://gateway.test", spool=False, transport=httpx.MockTransport(self.handle))


READS = [
    (lambda one: one.bonds(phase="bonded", limit=5), "/v1/bonds?phase=bonded&limit=5"),
    (lambda one: one.bond("a/b c"), "/v1/bonds/a%2Fb%20c"),
    (lambda one: one.bond_events("ann", limit=3), "/v1/bonds/ann/events?limit=3"),
    (lambda one: one.bond_check("ann", at=1.5), "/v1/bonds/ann/check?at=1.5"),
    (lambda one: one.trusted_state("project:p05", everything=True), "/v1/trusted/project%3Ap05?all=true"),
    (lambda one: one.interactions(identity="ann", limit=5), "/v1/interactions?identity=ann&limit=5"),
    (lambda one: one.interaction("a/b"), "/v1/interactions/a%2Fb"),
    (lambda one: one.memories("ann", status="candidate"), "/v1/memories?subject=ann&status=candidate"),
    (lambda one: one.memory("ann", "m-1"), "/v1/memories/m-1?subject=ann"),
    (lambda one: one.audit("a/b"), "/v1/audits/a%2Fb"),
    (lambda one: one.names(scope="project"), "/v1/names?scope=project"),
    (lambda one: one.links("ann/b", status="applied"), "/v1/identities/ann%2Fb/links?status=applied"),
    (lambda one: one.link_group("ann"), "/v1/identities/ann/group"),
    (lambda one: one.conflicts("project:p05", status="open"), "/v1/conflicts?subject=project%3Ap05&status=open"),
    (lambda one: one.approvals(kind="call", identity="ann"), "/v1/approvals?kind=call&identity=ann"),
]


@pytest.mark.parametrize(("read", "path"), READS)
async def test_a_read_gives_what_the_gateway_answers(read, path):
    gateway = Gateway(value={"items": []})
    async with gateway.client() as client:
        assert await read(client) == {"items": []}
    with gateway.blocking() as client:
        assert read(client) == {"items": []}
    assert [(one.method, one.url.raw_path.decode()) for one in gateway.asked] == [("GET", path)] * 2


@pytest.mark.parametrize("gateway", [Gateway(503), Gateway(429), Gateway(error=httpx.ConnectError("away"))])
@pytest.mark.parametrize(("read", "_"), READS)
async def test_a_read_fails_open_while_the_gateway_is_away(read, _, gateway):
    async with gateway.client() as client:
        assert await read(client) == UNAVAILABLE


async def test_a_read_of_what_is_not_there_is_raised():
    async with Gateway(404, {"type": "/problems/not_found", "detail": "no bond"}).client() as client:
        with pytest.raises(Refused, match="no bond") as refused:
            await client.bond("ann")
    assert refused.value.reason == "not_found"


WRITES = [
    (lambda one: one.set_cap("ann", 0), "POST", "/v1/commands/cap?wait=5", {"identity": "ann", "cap": 0}),
    (lambda one: one.add_note("ann", "n"), "POST", "/v1/commands/note?wait=5", {"identity": "ann", "text": "n"}),
    (
        lambda one: one.state_set("project:p05", "fact", "k", "v", confidence=0.0, wait_s=9),
        "POST",
        "/v1/trusted/project%3Ap05?wait=9",
        {"category": "fact", "key": "k", "value": "v", "confidence": 0.0},
    ),
    (
        lambda one: one.state_invalidate("ann", "fact", "k"),
        "DELETE",
        "/v1/trusted/ann?wait=5&category=fact&key=k",
        None,
    ),
    (
        lambda one: one.memory_create("ann", "likes tea", type="preference"),
        "POST",
        "/v1/memories?wait=5",
        {"subject": "ann", "content": "likes tea", "type": "preference"},
    ),
    *(
        (
            lambda one, name=name: getattr(one, f"memory_{name}")("ann", "m-1", reason="r"),
            "POST",
            f"/v1/memories/m-1/{name}?wait=5",
            {"subject": "ann", "reason": "r"},
        )
        for name in ("promote", "reject", "supersede", "invalidate", "update")
    ),
    (
        lambda one: one.approve({"kind": "call", "identity": "ann", "audit_id": "a", "call_id": "c-1"}),
        "POST",
        "/v1/commands/approve?wait=5",
        {"identity": "ann", "call_id": "c-1"},
    ),
    (
        lambda one: one.deny({"kind": "turn", "identity": "ann", "audit_id": "a"}, reason="r"),
        "POST",
        "/v1/commands/deny-turn?wait=5",
        {"identity": "ann", "audit_id": "a", "reason": "r"},
    ),
    (
        lambda one: one.conflict_resolve("ann", "pad", "c-1", "supersede_others", winner="m-1"),
        "POST",
        "/v1/conflicts/c-1/resolve?wait=5",
        {"subject": "ann", "slot": "pad", "action": "supersede_others", "winner": "m-1"},
    ),
    (
        lambda one: one.opinion("ann", "m-1", "against", 0.0),
        "POST",
        "/v1/memories/m-1/opinion?wait=5",
        {"subject": "ann", "opinion": "against", "confidence": 0.0},
    ),
    *(
        (
            lambda one, name=name: getattr(one, f"link_{name}")("ann", "bob", reason="r"),
            "POST",
            f"/v1/identities/ann/links/{name}?wait=5",
            {"other": "bob", "reason": "r"},
        )
        for name in ("apply", "reverse", "dismiss")
    ),
    (lambda one: one.extract("a", persist=True), "POST", "/v1/interactions/a/extract", {"persist": True}),
    (lambda one: one.reinforce("a"), "POST", "/v1/interactions/a/reinforce", {}),
]


@pytest.mark.parametrize(("write", "method", "path", "body"), WRITES)
async def test_a_write_gives_its_event(write, method, path, body):
    gateway = Gateway(value={"id": "c", "outcome": {"kind": "set"}})
    async with gateway.client() as client:
        assert (await write(client))["outcome"] == {"kind": "set"}
    with gateway.blocking() as client:
        assert write(client)["id"] == "c"
    for asked in gateway.asked:
        assert (asked.method, asked.url.raw_path.decode()) == (method, path)
        assert (json.loads(asked.content) if asked.content else None) == body
    assert len({asked.headers["idempotency-key"] for asked in gateway.asked}) == 2


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (Gateway(error=httpx.ConnectError("away")), "unavailable"),
        (Gateway(503, {"type": "/problems/views_away"}), "views_away"),
        (Gateway(409, {"type": "/problems/conflict", "reason": "state_full"}), "state_full"),
    ],
)
@pytest.mark.parametrize("write", [case[0] for case in WRITES])
async def test_a_write_fails_closed(write, gateway, reason):
    async with gateway.client() as client:
        with pytest.raises(Refused) as refused:
            await write(client)
    assert refused.value.reason == reason
    with gateway.blocking() as client, pytest.raises(Refused):
        write(client)


async def test_a_context_pack_fails_open_while_the_gateway_is_away():
    gateway = Gateway(value={"formatted_context": "x"})
    async with gateway.client() as client:
        assert await client.context("ann", "what now?", project="p05") == {"formatted_context": "x"}
    asked = {"identity": "ann", "prompt": "what now?", "project": "p05", "auto": False}
    assert json.loads(gateway.asked[0].content) == asked
    with Gateway(error=httpx.ConnectError("away")).blocking() as client:
        assert client.context("ann", "what now?") == UNAVAILABLE


def test_no_named_tuple_has_another_base_which_python_310_refuses():
    for file in Path(endocrine_client.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and len(node.bases) > 1:
                assert "NamedTuple" not in [getattr(base, "id", "") for base in node.bases], f"{file}: {node.name}"
