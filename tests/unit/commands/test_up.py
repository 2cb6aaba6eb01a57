"""`endocrine up` on a folder where something runs already."""

import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import stack as command
from endocrine.pipeline.local import prepare, stack

COMMANDS = typer.Typer()
command.register(COMMANDS)


class Started:
    """A stack that notes its start."""

    seen: list[str]

    def __init__(self, folder, **parts):
        pass

    async def start(self):
        self.seen.append("started")


@pytest.fixture
def seen(monkeypatch, tmp_path):
    noted = Started.seen = []

    async def nothing(step):
        return None

    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(stack, "LocalStack", Started)
    monkeypatch.setattr(stack, "end", lambda folder: noted.append("ended") or True)
    monkeypatch.setattr(prepare, "prepared", nothing)
    return noted


def runs(monkeypatch, kafka, valkey, *, stays=True):
    found = stack.RunningStack(
        kafka and "127.0.0.1:1", valkey and "redis://127.0.0.1:2/12", {"kafka": 1, "valkey": 2}, stays
    )
    monkeypatch.setattr(stack, "running", lambda folder: found)


def up():
    return CliRunner().invoke(COMMANDS, ["up"])


def test_a_stack_of_which_a_part_has_ended_is_started_anew(seen, monkeypatch):
    runs(monkeypatch, None, True)
    assert "Kafka had ended" in up().output
    assert seen == ["ended", "started"]


def test_a_whole_stack_is_left_alone(seen, monkeypatch):
    runs(monkeypatch, True, True)
    assert up().exit_code == 0
    assert seen == []


def test_a_part_that_is_named_elsewhere_is_not_missed(seen, monkeypatch):
    runs(monkeypatch, None, True)
    monkeypatch.setenv("ENDOCRINE_BOOTSTRAP", "127.0.0.1:9")
    assert up().exit_code == 0
    assert seen == []
