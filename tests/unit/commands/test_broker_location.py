"""One way to find the broker: the option, then the environment, then the local stack of the data folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from endocrine.pipeline.cli.common import settings_of
from endocrine.pipeline.local.broker_location import locate
from endocrine.pipeline.process.environment import SettingsError
from endocrine.pipeline.process.settings import Settings

NOBODY = "127.0.0.1:1"
READ_ALONE = [
    ("explain", "t1"),
    ("explain-signals", "t1"),
    ("incidents",),
    ("replay", "verify"),
    ("replay", "what-if", "--policy", "own.yaml"),
    ("state", "--at", "now"),
    ("snapshot", "snap"),
    ("export", "signals", "--output", "out.csv"),
    ("dlq", "list"),
    ("dlq", "show", "signals/0/0"),
    ("topics", "describe"),
    ("audit", "verify"),
    ("interactions", "list", "--identity", "ann"),
    ("bonds", "list"),
    ("trust", "get", "ann"),
    ("memory", "list", "ann"),
    ("conflicts", "list", "ann"),
    ("links", "list", "ann"),
    ("policy", "history"),
    ("lag",),
]
"""Commands that only read, and so can do without a worker."""
NEED_A_BROKER = [
    ("topics", "describe"),
    ("dlq", "list"),
    ("dlq", "show", "signals/0/0"),
    ("dlq", "redrive", "signals/0/0"),
    ("replay", "verify"),
    ("state", "--at", "now"),
    ("snapshot", "snap"),
    ("explain", "t1"),
    ("explain-signals", "t1"),
    ("export", "signals", "--output", "out.csv"),
    ("audit", "verify"),
    ("ingest", "own.jsonl"),
    ("incidents",),
    ("lag",),
]


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A local stack's folder: what one leaves there while it is up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENDOCRINE_BOOTSTRAP", raising=False)
    folder = tmp_path / ".endocrine"
    folder.mkdir()
    # Nothing of it but processes that look like its own.
    parts = {
        name: subprocess.Popen([sys.executable, "-c", "input()", str(folder / name)], stdin=subprocess.PIPE)
        for name in ("kafka", "valkey")
    }
    for name, part in parts.items():  # for a moment a process that was started has no command line yet
        while str(folder / name) not in Path(f"/proc/{part.pid}/cmdline").read_text():
            assert part.poll() is None
    pids = {name: part.pid for name, part in parts.items()}
    left = {"pids": pids, "bootstrap": "127.0.0.1:7", "redis_url": "redis://127.0.0.1:8/12", "stays": True}
    (folder / "stack.json").write_text(json.dumps(left))
    yield folder
    for part in parts.values():
        part.communicate(b"\n")


def test_the_option_goes_before_the_environment_and_that_before_the_local_stack(stack, monkeypatch):
    here = locate(None)
    assert (here.settings.bootstrap, here.settings.redis_url) == ("127.0.0.1:7", "redis://127.0.0.1:8/12")
    assert str(here) == "broker 127.0.0.1:7 (the local stack in .endocrine)"
    monkeypatch.setenv("ENDOCRINE_BOOTSTRAP", "kafka:9092")
    assert str(locate(None)) == "broker kafka:9092 (from ENDOCRINE_BOOTSTRAP)"
    assert str(locate("[::1]:5,other:6")) == "broker [::1]:5,other:6 (from --bootstrap)"


def test_a_redis_that_is_named_goes_before_that_of_the_stack(stack):
    assert locate(None, Settings(redis_url="redis://mine/1")).settings.redis_url == "redis://mine/1"


def test_a_stack_that_is_down_is_not_found_although_its_file_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENDOCRINE_BOOTSTRAP", raising=False)
    (tmp_path / ".endocrine").mkdir()
    left = {"pids": {"kafka": os.getpid()}, "bootstrap": "127.0.0.1:7"}  # the pid is another process by now
    (tmp_path / ".endocrine" / "stack.json").write_text(json.dumps(left))
    assert "the default: neither --bootstrap nor ENDOCRINE_BOOTSTRAP is given" in str(locate(None))


@pytest.mark.parametrize("wrong", ["kafka", "", ":9092", "kafka:", "kafka:0", "kafka:65536", "kafka:x", "a:1,", "a:²"])
def test_an_address_that_is_none_is_refused_by_the_option_and_by_the_variable(wrong, monkeypatch):
    with pytest.raises(SettingsError, match=r"^--bootstrap: an? .*text.*; expected host:port"):
        locate(wrong)
    monkeypatch.setenv("ENDOCRINE_BOOTSTRAP", wrong)
    with pytest.raises(SettingsError, match=r"^ENDOCRINE_BOOTSTRAP: an? .*text.*; expected host:port"):
        locate(None)


@pytest.mark.parametrize("command", NEED_A_BROKER, ids=" ".join)
def test_every_command_names_its_broker_first_and_says_in_one_line_that_it_is_away(endocrine, tmp_path, command):
    (tmp_path / "own.jsonl").write_text(
        '{"topic": "signals", "value": {"identity": "a", "name": "stress", "level": 1, "ts": 1}}\n'
    )
    result = endocrine(*command, "--bootstrap", NOBODY)
    first, *rest = result.stderr.splitlines()
    assert first == f"broker {NOBODY} (from --bootstrap)"
    assert [line for line in rest if NOBODY in line] == [rest[0]], result.stderr
    assert "no Kafka broker answers at" in rest[0]
    assert result.exit_code in (2, 3)
    assert endocrine(*command, ENDOCRINE_BOOTSTRAP=NOBODY).stderr.startswith(f"broker {NOBODY} (from ENDOCRINE_BOOTST")


class Started(Exception):
    """The local stack was asked for."""


@pytest.fixture
def left(tmp_path, monkeypatch):
    """The folder of a run that has ended."""
    kafka = tmp_path / "data" / "kafka" / "logs"
    kafka.mkdir(parents=True)
    (kafka / "meta.properties").write_text("")
    (tmp_path / "own.jsonl").write_text("")
    (tmp_path / "own.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENDOCRINE_BOOTSTRAP", raising=False)

    def started(folder):
        raise Started(str(folder))

    monkeypatch.setattr("endocrine.pipeline.cli.stack_for_reading.start_for_this_command", started)
    return tmp_path / "data"


@pytest.mark.parametrize("command", READ_ALONE, ids=" ".join)
def test_a_command_that_only_reads_starts_the_stack_of_a_folder_that_has_data(endocrine, left, command):
    asked = endocrine(*command, ENDOCRINE_DATA_DIR=str(left))
    assert isinstance(asked.exception, Started), asked.output
    assert isinstance(endocrine(*command, ENDOCRINE_BOOTSTRAP=NOBODY).exception, SystemExit)


def test_what_writes_starts_none_as_no_worker_would_decide_and_an_empty_folder_has_nothing_to_read(left, monkeypatch):
    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(left))
    assert settings_of(None).bootstrap == "127.0.0.1:9092"
    with pytest.raises(Started, match=str(left)):
        settings_of(None, reads=True)
    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(left / "none"))
    assert settings_of(None, reads=True).bootstrap == "127.0.0.1:9092"
