"""`endocrine chat` and `endocrine connect` as a person starts them: piped lines, Ctrl-C, no key, no stack."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DEADLINE_S = 120
"""Far above what a loaded machine needs."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    names = ("ENDOCRINE_", "OPENAI_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return {**clean, "ENDOCRINE_DATA_DIR": str(folder / "data"), **more}


def start(folder: Path, *arguments: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "endocrine.pipeline.cli", *arguments],
        env=environment(folder, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_over(folder: Path) -> list[str]:
    """Processes that name our folder: Kafka, Valkey, worker, connectors."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_text("utf-8", "replace")
        except OSError:
            continue
        if str(folder / "data") in command:
            found.append(command)
    return found


@pytest.mark.node
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_demo_answers_piped_lines_says_why_and_ends_by_itself(tmp_path: Path, api: str) -> None:
    lines = "what is endocrine?\n\n/signal alignment_risk 0.7\nremind me\n/why\n/rate 5\n/nonsense\nhello"
    chat = start(tmp_path, "chat", "--demo", ENDOCRINE_MODEL_API=api)
    out, err = chat.communicate(lines, timeout=DEADLINE_S)
    assert (chat.returncode, err) == (0, "")
    assert out.startswith("DEMO: answers come from a script, not from a model.")
    first, second, third = out.split("you> ")[1], out.split("you> ")[4], out.split("you> ")[-1]
    assert "[balanced]" in first
    assert "tool retrieve_knowledge: allowed; ok in" in first
    assert "[scripted] From what retrieval found:" in first
    assert "endocrine-in-short.md" in first
    assert "[strict]" in second
    assert "tool schedule_task: denied, not_in_allowlist" in second
    assert "incident tool_blocked: schedule_task" in second
    assert "why: alignment_risk 0.7 from chat: used" in second
    assert "[scripted] Asked the scheduler." in second  # an answer all the same, without the tool
    assert "unknown command /nonsense" in out
    assert "[scripted] Hello." in third
    assert not left_over(tmp_path)


@pytest.mark.node
def test_ctrl_c_ends_the_demo_and_all_it_started(tmp_path: Path) -> None:
    chat = start(tmp_path, "chat", "--demo")
    deadline = time.monotonic() + DEADLINE_S
    while not left_over(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    chat.send_signal(signal.SIGINT)
    _, err = chat.communicate(timeout=DEADLINE_S)
    assert (chat.returncode, err) == (0, "")
    assert not left_over(tmp_path)


def test_without_a_stack_chat_says_what_to_start(tmp_path: Path) -> None:
    chat = start(tmp_path, "chat", "--bootstrap", "127.0.0.1:9")
    _, err = chat.communicate("hello\n", timeout=DEADLINE_S)
    assert chat.returncode == 1
    assert "no Kafka broker answers at 127.0.0.1:9" in err
    assert "endocrine run" in err


def test_without_a_key_the_model_connector_does_not_start_and_says_so(tmp_path: Path) -> None:
    connect = start(tmp_path, "connect", "model")
    _, err = connect.communicate(timeout=DEADLINE_S)
    assert connect.returncode == 2
    assert "OPENAI_API_KEY" in err
    assert "ENDOCRINE_MODEL_BASE_URL" in err


def test_a_script_that_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    script = tmp_path / "mine.yaml"
    script.write_text("rules: []")
    chat = start(tmp_path, "chat", "--demo", "--script", str(script))
    _, err = chat.communicate("hello\n", timeout=DEADLINE_S)
    assert chat.returncode == 2
    assert "mine.yaml" in err
