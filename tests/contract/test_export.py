"""`endocrine export` over a broker."""

import asyncio
import csv
import json
import sys
import time

import orjson
import pyarrow.parquet
import pytest
import typer
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from endocrine.pipeline.cli import export
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.data.export import run as running
from endocrine.pipeline.kafka.admin import ensure_topics
from waiting import until

SIGNAL = {"identity": "ann", "name": "stress", "level": 0.5, "ttl_ms": 800, "source": "probe", "ts": 1.0}


@pytest.fixture
def here(settings, only_needed_topics):
    mine = settings.model_copy(update={"partitions": 2})
    asyncio.run(ensure_topics(mine, ["modulation", "attribution", "bonds"]))
    return mine


@pytest.fixture
def call(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        app = typer.Typer()
        app.callback()(lambda: None)
        export.register(app)
        env = {"ENDOCRINE_BOOTSTRAP": here.bootstrap, "ENDOCRINE_PREFIX": here.prefix, "ENDOCRINE_PARTITIONS": "2"}
        return CliRunner().invoke(app, ["export", *map(str, arguments)], env=env)

    return invoke


@pytest.fixture
def send(here):
    def records(*wanted):
        """(topic, partition, key, value); returns the append times in seconds."""

        async def all_of_them():
            producer = AIOKafkaProducer(bootstrap_servers=here.bootstrap)
            await producer.start()
            times = []
            for topic, partition, key, value in wanted:
                body = None if value is None else orjson.dumps(value)
                sent = await producer.send_and_wait(here.prefix + topic, body, key=key, partition=partition)
                times.append(sent.timestamp / 1000)
                await until(lambda sent=sent: time.time() * 1000 > sent.timestamp + 1)
            await producer.stop()
            return times

        return asyncio.run(all_of_them())

    return records


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_topic_in_every_format_by_time_identity_and_partition(call, send, tmp_path):
    times = send(
        *(("signals", n % 2, b"ab"[n % 2 :][:1], {**SIGNAL, "identity": "ab"[n % 2], "ts": n}) for n in range(6))
    )
    for form in ("parquet", "csv", "jsonl"):
        result = call("signals", "--output", f"all.{form}")
        assert result.exit_code == 0, result.stderr
        assert "6 records of signals" in result.stdout
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    assert sorted(table["value_ts"].to_pylist()) == [0, 1, 2, 3, 4, 5]
    with (tmp_path / "all.csv").open(newline="") as file:
        assert sorted(float(row["value_ts"]) for row in csv.DictReader(file)) == [0, 1, 2, 3, 4, 5]
    for arguments, expected in [
        (("--identity", "a"), [0, 2, 4]), (("--partition", 1), [1, 3, 5]), (("--since", show_time(times[4])), [4, 5]),
        (("--until", times[2]), [0, 1]), (("--since", times[1], "--until", times[4], "--identity", "b"), [1, 3]),
        (("--since", times[5] + 3600), []),
    ]:  # fmt: skip
        result = call("signals", "--format", "jsonl", "--output", "some", "--force", *arguments)
        assert result.exit_code == 0, result.stderr
        assert sorted(row["value_ts"] for row in lines(tmp_path / "some")) == expected, arguments


def test_a_compacted_topic_is_a_table_unless_its_history_is_wanted(call, send, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "GROUP_ROWS", 2)
    bond = {"user_id": "ann", "phase": "bonding"}
    send(
        ("bonds", 0, b"ann", bond), ("bonds", 0, b"bob", {**bond, "user_id": "bob"}),
        ("bonds", 0, b"ann", {**bond, "phase": "awake"}), ("bonds", 1, b"cyd", {**bond, "user_id": "cyd"}),
        ("bonds", 0, b"bob", None),
    )  # fmt: skip
    assert "2 keys of bonds" in call("bonds", "--output", "table.jsonl").stdout
    assert {row["key"]: row["value_phase"] for row in lines(tmp_path / "table.jsonl")} == {
        "ann": "awake", "cyd": "bonding",
    }  # fmt: skip
    assert call("bonds", "--history", "--output", "every.parquet").exit_code == 0
    read = pyarrow.parquet.ParquetFile(tmp_path / "every.parquet")
    assert (read.metadata.num_rows, read.num_row_groups) == (5, 3)
    assert call("bonds", "--identity", "cyd", "--output", "one.jsonl").exit_code == 0
    assert [row["key"] for row in lines(tmp_path / "one.jsonl")] == ["cyd"]


def test_dead_letters_and_the_journal_can_be_exported(call, send, tmp_path):
    entry = {
        "agent": "gating", "partition": 0, "batch": 1, "runs": [["signals", 0, 1]], "inputs": "0" * 64,
        "previous": None, "policy": "0" * 64, "version": "1", "claim": 0,
    }  # fmt: skip
    send(("signals.dlq", 0, b"ann", SIGNAL), ("journal", 0, b"gating/0", entry))
    assert call("signals.dlq", "--output", "dead.jsonl").exit_code == 0
    assert json.loads(lines(tmp_path / "dead.jsonl")[0]["raw"]) == SIGNAL
    assert call("journal", "--output", "journal.jsonl").exit_code == 0
    (row,) = lines(tmp_path / "journal.jsonl")
    assert (row["value_batch"], row["value_runs"], row["value_partition"]) == (1, [["signals", 0, 1]], 0)


def test_a_file_is_never_replaced_unasked_and_never_left_half_written(call, send, tmp_path):
    send(("signals", 0, b"ann", SIGNAL))
    mine = tmp_path / "mine.csv"
    mine.write_text("precious")
    refused = call("signals", "--output", mine)
    assert (refused.exit_code, "--force" in refused.stderr, mine.read_text()) == (2, True, "precious")
    away = call("signals", "--output", "new.csv", "--bootstrap", "127.0.0.1:1")
    assert (away.exit_code, "Traceback" in away.stderr) == (2, False)
    nowhere = call("signals", "--output", "no/such/folder.csv")
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (2, True)
    assert call("signals", "--output", mine, "--force").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".log") == ["mine.csv"]


def test_errors_name_what_was_expected(call, monkeypatch):
    for arguments, told in [
        (("joy", "--output", "x.csv"), "there is no topic 'joy'"),
        (("journal.dlq", "--output", "x.csv"), "no topic"),
        (("signals", "--output", "x"), "--format"),
        (("signals", "--output", "x.csv", "--since", "soon"), "'soon' is no time"),
        (("journal", "--output", "x.csv", "--identity", "ann"), "not about identities"),
        (("signals", "--output", "x.csv", "--partition", 9), "no partition 9"),
    ]:
        result = call(*arguments)
        assert (result.exit_code, told in result.stderr) == (2, True), (arguments, result.stderr)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    missing = call("signals", "--output", "x.parquet")
    assert (missing.exit_code, "-m pip install 'pyarrow" in missing.stderr) == (2, True)
