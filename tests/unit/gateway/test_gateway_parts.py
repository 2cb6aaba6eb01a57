"""Keys, rates, waiting, idempotency and events of the gateway, without a broker."""

import asyncio
import os

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.names.claims import claim_of
from endocrine.pipeline.core.content import without_content
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.gateway import keys
from endocrine.pipeline.gateway.callers import Caller, checked_identity, is_loopback
from endocrine.pipeline.gateway.events import TOPICS, parse_position
from endocrine.pipeline.gateway.idempotency import Idempotency
from endocrine.pipeline.gateway.keys import Key, KeyRing, KeysError, create, revoke
from endocrine.pipeline.gateway.openapi import document
from endocrine.pipeline.gateway.problems import KINDS, Problem
from endocrine.pipeline.gateway.rates import Bucket
from endocrine.pipeline.gateway.shared import Shared
from endocrine.pipeline.gateway.watch import Overloaded, Refused, Watch, Watches


def key(name="shop", **more):
    return Key(name=name, sha256="0" * 64, scopes=["capture"], **more)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "_LOOK_S", 0.0)
    return tmp_path / "gateway.keys"


def test_a_key_is_found_by_its_secret_until_it_is_revoked(file):
    secret = create(file, key())
    ring = KeyRing(file)
    assert ring.find(secret).name == "shop"
    assert ring.find(secret + "x") is None
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    revoke(file, "shop")
    assert ring.find(secret) is None


def test_a_file_that_vanishes_opens_nothing(file):
    secret = create(file, key())
    ring = KeyRing(file)
    os.unlink(file)
    assert ring.find(secret) is None
    assert ring.configured


def test_a_file_of_revoked_keys_alone_is_not_a_door_without_keys(file):
    create(file, key())
    revoke(file, "shop")
    assert KeyRing(file).configured


def test_a_file_that_is_spoilt_leaves_the_keys_as_they_were(file):
    secret = create(file, key())
    ring = KeyRing(file)
    file.write_text("[{]")
    assert ring.find(secret) is not None
    with pytest.raises(KeysError, match="not a file of API keys"):
        KeyRing(file)


def test_a_name_belongs_to_one_valid_key(file):
    create(file, key())
    with pytest.raises(KeysError, match="'shop' exists"):
        create(file, key())
    revoke(file, "shop")
    create(file, key())
    with pytest.raises(KeysError, match="no valid key"):
        revoke(file, "nobody")


def test_a_bucket_gives_its_burst_then_its_rate():
    bucket = Bucket(2.0, 3, now=10.0)
    assert [bucket.take(10.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(10.0) == 0.5
    assert bucket.take(10.5) == 0.0
    assert bucket.take(9.0) > 0, "a clock that steps back gives nothing"


def modulation(revision):
    return {"revision": revision, "audit_id": "t"}


def decision(outcome, digest="d"):
    return {"call_id": "c", "arguments_digest": digest, "decision": outcome}


def test_a_final_decision_is_not_replaced_by_a_copy_of_the_pending_one():
    watch = Watch("ann", "t")
    for outcome in ("pending", "denied", "pending", "allowed"):
        watch.apply("tool-decisions", decision(outcome), 1.0, 2.0)
    assert watch.decision("c", "d").value["decision"] == "denied"


def test_a_decision_on_other_arguments_is_another_one():
    watch = Watch("ann", "t")
    watch.apply("tool-decisions", decision("allowed", "theirs"), 1.0, 2.0)
    assert watch.decision("c", "ours") is None


async def test_whoever_waits_gets_what_came_before_and_what_comes_after():
    watches = Watches(most=2)
    with watches.registered(Watch("ann", "t")) as watch:
        watch.apply("modulations", modulation(0), 1.0, 2.0)
        assert (await watch.until(lambda w: w.modulations.get(0))).appended == 1.0
        waiting = [asyncio.create_task(watch.until(lambda w: w.modulations.get(1))) for _ in range(2)]
        await asyncio.sleep(0)
        watch.refuse(Refused("r", "kind", "why"))
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        watch.apply("modulations", modulation(1), 3.0, 4.0)
        assert [seen.appended for seen in await asyncio.gather(*waiting)] == [3.0, 3.0]
        assert watch.modulation == modulation(1)
        assert watches.of(b"ann") == [watch]
        with watches.registered(Watch("bob", "t")), pytest.raises(Overloaded), watches.registered(Watch("cy", "t")):
            pass
    assert watches.of(b"ann") == []
    assert watches.count == 0


def request(**headers):
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/v1/turns", "headers": raw, "query_string": b""})


async def test_a_retry_has_the_ids_the_time_and_the_answer_of_the_first_try():
    now = iter(range(100, 200))
    known = Idempotency(Shared(None), clock=lambda: float(next(now)))
    asked = request(idempotency_key="k")
    first = await known.begin(Caller("shop"), asked, {"a": 1, "b": 2})
    known.finish(first, Response(b"{}", 201, {"server-timing": "x"}))
    again = await known.begin(Caller("shop"), asked, {"b": 2, "a": 1})
    assert (again.id_of(), again.ts, again.again) == (first.id_of(), first.ts, True)
    assert (again.answer.status_code, again.answer.headers["idempotent-replayed"]) == (201, "true")
    with pytest.raises(Problem, match="used before"):
        await known.begin(Caller("shop"), asked, {"a": 3})
    other = await known.begin(Caller("bank"), asked, {"a": 3})
    assert other.id_of() != first.id_of(), "keys are scoped to the API key"


async def test_a_failure_is_not_remembered_as_the_answer():
    known = Idempotency(Shared(None))
    slot = await known.begin(Caller("shop"), request(idempotency_key="k"), {})
    known.finish(slot, Response(b"{}", 503))
    assert (await known.begin(Caller("shop"), request(idempotency_key="k"), {})).answer is None


async def test_requests_without_a_key_are_each_their_own():
    known = Idempotency(Shared(None))
    slots = [await known.begin(Caller("shop"), request(), {}) for _ in range(2)]
    assert slots[0].id_of() != slots[1].id_of()


@pytest.mark.parametrize("named", ["", " ", "x" * 257, 7, None, "project:p", "$registry"])
def test_an_identity_that_is_none_is_refused(named):
    with pytest.raises(Problem) as refused:
        checked_identity(NameTable(), named)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("evil", False)],
)
def test_what_loopback_is(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("text", ["", "modulations/0", "nothing/0/1", "modulations/-1/0", "modulations/0/x", "/0/0"])
def test_a_position_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|unpack"):
        parse_position(text)


def test_every_topic_of_events_says_what_of_it_is_content():
    from endocrine.pipeline.core.content import FIELDS, FREE

    assert not [topic for topic in TOPICS if topic not in FIELDS and topic not in FREE]
    shown = without_content("interactions", {"audit_id": "t", "response": "secret", "finish": "answered"})
    assert shown == {"audit_id": "t", "finish": "answered"}
    assert without_content("unheard-of", {"a": 1}) == {}


def test_every_kind_of_problem_that_a_row_names_is_a_kind():
    from endocrine.pipeline.gateway.app import ROWS

    assert {kind for row in ROWS for kind in row.problems} <= set(KINDS)
    assert document(ROWS, "1")["openapi"] == "3.1.0"


def test_an_event_is_proved_once_for_all_streams_and_what_is_content_stays_apart(tmp_path):
    from types import SimpleNamespace

    from endocrine.pipeline.gateway.events import _RECENT, Broadcast, Listener
    from endocrine.pipeline.process.settings import Settings

    proved = []
    seals = SimpleNamespace(valid=lambda topic, raw, headers: proved.append(raw.offset) or True)
    events = Broadcast(Settings(data_dir=tmp_path), seals, NameTable())

    def record(offset):
        value = b'{"identity": "ann", "audit_id": "a", "prompt": "private", "kind": "opened"}'
        return SimpleNamespace(
            partition=0, offset=offset, value=value, headers=[("endocrine-origin", b"x/1")], timestamp=0
        )

    topics = frozenset(["interactions"])
    ann, all_of_it = Listener(topics, "ann", False), Listener(topics, None, True)
    bob = Listener(topics, "bob", True)
    for _ in range(3):
        assert b"private" not in events._event(ann, "interactions", record(7))
        assert b"private" in events._event(all_of_it, "interactions", record(7))
        assert events._event(bob, "interactions", record(7)) is None
    assert len(proved) <= 2
    for offset in range(8, 8 + 2 * _RECENT):
        events._event(ann, "interactions", record(offset))
    assert len(events._recent) == _RECENT


def test_what_an_erased_identity_did_before_is_no_event_any_more_and_what_came_after_is(tmp_path):
    """A stream that resumes reads back as far as topics reach, and an event that was just sent is kept encoded."""
    from types import SimpleNamespace

    from endocrine.pipeline.gateway.events import Broadcast, Listener
    from endocrine.pipeline.process.settings import Settings

    names, seals = NameTable(), SimpleNamespace(valid=lambda topic, raw, headers: True)
    events = Broadcast(Settings(data_dir=tmp_path), seals, names)
    anyone = Listener(frozenset(["modulations"]), None, True)

    def sent(offset, identity, ts):
        value = orjson.dumps({"identity": identity, "ts": ts})
        place = {"partition": 0, "offset": offset, "timestamp": 0}
        return events._event(
            anyone, "modulations", SimpleNamespace(value=value, headers=[("endocrine-origin", b"x/1")], **place)
        )

    assert [sent(1, "ann", 99.0), sent(2, "bob", 99.0)].count(None) == 0
    names.entries["identity", claim_of("identity", "ann")] = {"ts": 100.0}
    assert (sent(1, "ann", 99.0), sent(3, "ann", 99.5)) == (None, None)
    assert [sent(4, "ann", 100.0), sent(2, "bob", 99.0)].count(None) == 0
