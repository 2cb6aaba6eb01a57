"""Memories of an older store, taken over in phases: each command can be repeated, and none loses a later version."""

import asyncio
import json

import orjson
import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import memory_migrate
from endocrine.pipeline.data.migration import BadLine, command_of, old_id


def line(number, **fields):
    value = {"id": str(number), "subject": "ann", "type": "knowledge", "content": f"memory number {number}"}
    value |= {"status": "active", "confidence": 0.5, "version": 1, "created_ts": 1.0}
    return json.dumps(value | fields).encode() + b"\n"


class Views:
    """The read models, as the agents of a test have left them."""

    def __init__(self, minds):
        self.minds = minds

    async def hget(self, key, field):
        found = self.minds.memories.get(field)
        return None if found is None or not key.endswith(f":{found['subject']}") else orjson.dumps(found)


@pytest.fixture
def run(minds, monkeypatch, tmp_path):
    """Run a verb over an export; its result. `run.sent` holds the commands that it sent."""
    sent = []

    def send(settings, commands):
        sent.extend(commands)
        for one in commands:
            minds.feed("commands", **one)

    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(memory_migrate, "_send", send)
    monkeypatch.setattr(memory_migrate, "_resolver", lambda settings: {"ann": "ann", "ANN": "ann"}.__getitem__)
    monkeypatch.setattr(memory_migrate, "from_views", lambda work, settings: asyncio.run(work(Views(minds))))
    app = typer.Typer()
    app.callback()(lambda: None)
    memory_migrate.register(app)
    file = tmp_path / "export.jsonl"

    def ran(verb, *lines, code=0):
        sent.clear()
        given = b"".join(lines)
        file.write_bytes(given)
        arguments = [] if verb == "write" else [str(file)]
        result = CliRunner().invoke(app, ["migrate", verb, *arguments, "--store", "older"], input=given)
        assert result.exit_code == code, result.output
        return result

    ran.sent = sent
    return ran


def test_a_backfill_goes_on_at_its_checkpoint_and_an_export_that_changed_begins_anew(run, minds):
    run("backfill", line(1), line(2))
    assert len(run.sent) == 2
    run("backfill", line(1), line(2))
    assert run.sent == []
    run("backfill", line(1), line(2), line(3))
    assert [one["origin"] for one in run.sent] == ["3"]
    run("backfill", line(1, version=2, content="another text"), line(2), line(3))
    assert len(run.sent) == 3
    assert minds.memories[old_id("older", "ann", "1")]["content"] == "another text"


def test_a_backfill_after_dual_writes_overwrites_none_of_them(run, minds):
    run("write", line(1, version=3, content="written later"))
    run("backfill", line(1), line(2))
    assert minds.memories[old_id("older", "ann", "1")]["content"] == "written later"
    assert minds.memories[old_id("older", "ann", "2")]["version"] == 1


def test_the_shadow_says_what_drifts_and_never_its_content(run, minds):
    run("backfill", line(1), line(2), line(3))
    minds.command("memory_update", memory_id=old_id("older", "ann", "2"), content="changed here alone")
    shown = run("shadow", line(1), line(2), line(3, version=2, status="invalid"), line(4), code=1).stdout
    assert "4 compared, 3 drifted" in shown
    assert [row.split()[0] for row in shown.splitlines()[:3]] == ["newer_here", "older_here", "missing"]
    assert "changed here" not in shown
    assert "memory number" not in shown


def test_a_cut_over_is_refused_while_they_drift_and_a_roll_back_gives_what_is_later_here(run, minds):
    run("backfill", line(1))
    run("cut-over", line(1), line(2), code=1)
    run("backfill", line(1), line(2))
    run("cut-over", line(1), line(2))
    run("cut-over", line(1), line(2))
    run("write", line(3), code=1)
    run("backfill", line(3), code=1)
    minds.command("memory_update", memory_id=old_id("older", "ann", "2"), content="changed after it")
    back = run("roll-back", line(1), line(2)).stdout
    assert [(one["id"], one["content"], one["version"]) for one in map(json.loads, back.splitlines())] == [
        ("2", "changed after it", 2)
    ]
    run("write", back.encode())
    assert "0 drifted" in run("shadow", line(1), back.encode()).stdout


@pytest.mark.parametrize(
    "given",
    [b"{", b"[1]", line(1, surplus=1), line(1, version=0), line(1, status="gone"), line(1, subject="nobody "),
     line(1, content=" "), line(1, id=5)],
)  # fmt: skip
def test_a_line_that_is_no_memory_names_its_fault_and_not_its_content(given):
    def resolve(subject):
        if subject != "ann":
            raise ValueError("not a subject")
        return subject

    with pytest.raises(BadLine) as bad:
        command_of(given, "older", "op", 1.0, 1 << 20, resolve)
    assert "memory number" not in str(bad.value)


def test_the_same_line_at_the_same_time_is_the_same_command():
    first, again = (command_of(line(1), "older", "op", 1.0, 1 << 20, str) for _ in range(2))
    assert first == again
    assert first["id"] != command_of(line(1, version=2), "older", "op", 1.0, 1 << 20, str)["id"]
