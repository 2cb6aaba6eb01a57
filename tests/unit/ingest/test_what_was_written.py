"""The counts of the last line are of what was written: printed, or acknowledged by the broker."""

import asyncio

import orjson
import pytest
from aiokafka.errors import KafkaError

from endocrine.pipeline.cli import ingest as command
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.data.ingest import produce as module


class Producer:
    """A producer whose broker takes the first `takes` records and fails the next."""

    takes = 10**9
    sent = None
    names = None

    def __init__(self, _settings=None, **_):
        pass

    async def start(self):
        pass

    async def stop(self):
        pass

    async def send(self, topic, value, key, headers):
        future = asyncio.get_running_loop().create_future()
        if len(self.sent) < self.takes:
            self.sent.append((topic, key, orjson.loads(value), dict(headers)))
            future.set_result(None)
        else:
            future.set_exception(KafkaError("gone"))
        return future


@pytest.fixture
def broker(monkeypatch):
    async def topics(_):
        return frozenset(f"endocrine.{name}" for name in CATALOGUE)

    monkeypatch.setattr(module.connection, "producer", Producer)

    async def registered_names(_):
        return Producer.names

    monkeypatch.setattr(module, "_topics", topics)
    monkeypatch.setattr(command, "registered_names", registered_names)
    monkeypatch.setattr(Producer, "names", NameTable())
    monkeypatch.setattr(Producer, "sent", [])
    return Producer


def last(result):
    return result.stderr.strip().splitlines()[-1]


def test_all_that_the_broker_took_is_counted_and_is_a_cloudevent(run, data, broker):
    result = run(data / "chat.txt", "--project", " atlas ")
    assert result.exit_code == 0
    assert last(result) == "ingest: turns 4, records 7, skipped 0, refused 0"
    assert "dry run" not in result.stderr
    for topic, key, value, headers in broker.sent:
        assert (topic, key) == ("endocrine.interactions", b"text-user")
        assert headers["ce_id"] == value["id"].encode()
        assert headers["ce_type"] == b"endocrine.interactions.v1"
        assert headers["ce_source"] == b"endocrine/ingest"
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_subject"] == b"text-user"
        assert headers["ce_time"].startswith(b"2025-01-01T00:0")
        assert headers["content-type"] == b"application/json"
        assert value.get("project") == ("atlas" if value["kind"] == "opened" else None)
        assert value.get("reinforce") == (False if value["kind"] == "closed" else None)


@pytest.mark.parametrize(("takes", "turns"), [(0, 0), (1, 1), (3, 2), (6, 3)])
def test_what_the_broker_did_not_take_is_not_counted(run, data, broker, monkeypatch, takes, turns):
    monkeypatch.setattr(broker, "takes", takes)
    result = run(data / "chat.txt")
    assert result.exit_code == 3
    assert "run the same again" in result.stderr
    assert last(result) == f"ingest: turns {turns}, records {takes}, skipped 0, refused 0"


@pytest.mark.parametrize("form", ["conversations.json", "transcript.jsonl", "records.jsonl"])
def test_where_a_topic_is_missing_nothing_was_written(run, data, broker, monkeypatch, form):
    async def no_topics(_):
        return frozenset()

    monkeypatch.setattr(module, "_topics", no_topics)
    result = run(data / form)
    assert result.exit_code == 3
    assert "ingest: turns 0, records 0, " in last(result)


def test_a_dry_run_says_that_nothing_was_produced(run, data, broker):
    result = run(data / "chat.txt", "--dry-run")
    assert "ingest: dry run: nothing was produced" in result.stderr
    assert last(result) == "ingest: turns 4, records 7, skipped 0, refused 0"
    assert broker.sent == []


def test_an_output_that_is_full_is_named_and_what_it_did_not_take_is_not_counted(data):
    import subprocess
    import sys

    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "endocrine.pipeline.cli", "ingest", str(data / "records.jsonl"), "--dry-run"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "standard output: writing stopped (No space left on device)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ingest: turns 0, records 0,")


def test_strict_counts_what_came_out_before_it_stopped(run, data):
    source = (data / "records.jsonl").read_bytes() + b"broken\n"
    result = run("-", "--format", "jsonl", "--dry-run", "--strict", input=source)
    assert (result.exit_code, last(result)) == (1, "ingest: turns 1, records 3, skipped 0, refused 1")
    source = (data / "transcript.jsonl").read_bytes() + b"broken\n"
    result = run("-", "--format", "claude-transcript", "--dry-run", "--strict", input=source)
    assert (result.exit_code, result.stdout) == (1, "")
    assert last(result).startswith("ingest: turns 0, records 0, ")


def registered(*names):
    """A table of ids and aliases of identities and projects."""
    table = NameTable()
    for scope, name, registered_id in names:
        kind = "id" if name == registered_id else "alias"
        value = {"scope": scope, "name": name, "registered_id": registered_id, "kind": kind, "description": None}
        value |= {"roots": None, "effective_from": 1.0, "released_from": None, "by": "op", "ts": 1.0}
        table.apply(f"{scope}/{name.lower()}".encode(), orjson.dumps(value))
    return table


NAMES = registered(
    ("identity", "Ann", "Ann"), ("identity", "a.s.", "Ann"), ("project", "p05-x", "p05-x"), ("project", "p05", "p05-x")
)


def test_an_alias_gives_the_very_records_that_its_id_gives(run, data, broker, monkeypatch):
    monkeypatch.setattr(Producer, "names", NAMES)
    sent = {}
    for identity, project in (("Ann", "p05-x"), ("A.S.", "P05"), ("bob", "other"), ("ann", None)):
        broker.sent.clear()
        assert (
            run(data / "chat.txt", "--identity", identity, *(["--project", project] if project else [])).exit_code == 0
        )
        sent[identity] = [(key, value) for _, key, value, _ in broker.sent]
    assert sent["Ann"] == sent["A.S."]
    assert {key for key, _ in sent["Ann"]} == {key for key, _ in sent["ann"]} == {b"Ann"}
    assert {key for key, _ in sent["bob"]} == {b"bob"}
    assert {value.get("project") for _, value in sent["A.S."]} == {"p05-x", None}
    assert {value.get("project") for _, value in sent["bob"]} == {"other", None}


def test_records_that_name_their_own_identity_are_resolved_and_reserved_names_refused(run, broker, monkeypatch):
    monkeypatch.setattr(Producer, "names", NAMES)
    about = {"name": "stress", "level": 0.5, "ttl_ms": 1, "source": "s", "ts": 1.0}
    lines = [{"topic": "signals", "value": {"identity": name, **about}} for name in ("A.S.", "bob", "project:x", "ANN")]
    result = run("-", "--format", "jsonl", input=b"\n".join(map(orjson.dumps, lines)))
    assert [key for _, key, _, _ in broker.sent] == [b"Ann", b"bob", b"Ann"]
    assert "reserved_name" in result.stderr
    assert last(result) == "ingest: turns 0, records 3, skipped 0, refused 1"
    assert run("-", "--format", "jsonl", "--strict", input=orjson.dumps(lines[2])).exit_code == 1
