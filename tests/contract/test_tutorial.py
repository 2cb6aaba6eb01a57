"""docs/tutorial.md, run as it is printed: every command in its order, in one shell, beside a run of the product."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.node]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
STEPS = [(commands, (shown or "").splitlines()) for commands, shown in BLOCK.findall(PAGE)]
"""Commands of each step, and what they print at least: lines that are in it, in this order."""
_READY_S, _STEP_S = 180.0, 120.0
_PACE = "12"
"""Records of the story a second, three times the usual. At fifty a busy machine judges some calls only after their
turn was closed, as a real one would whose application did not wait: a story other than the page's."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def shell(tmp_path):
    """Runs commands of the page in one shell, while the product runs; returns what they print."""
    port = free_port()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ENDOCRINE_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "ENDOCRINE_DATA_DIR": str(tmp_path / "data"),
        "ENDOCRINE_GATEWAY_PORT": str(port),
        "COLUMNS": "120",
    }
    log = tmp_path / "run.log"
    with log.open("wb") as out:
        run = subprocess.Popen(
            ["endocrine", "run", "--pace", _PACE], env=environment, cwd=tmp_path, stdout=out, stderr=out
        )
    variables = tmp_path / "variables"
    variables.write_text("")

    def run_step(commands):
        own = commands.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("source .venv/bin/activate\n", "")
        script = f"set -eu\nsource {variables}\n{own}\ndeclare -p TURN > {variables} 2>/dev/null || true\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_STEP_S,
            check=False,
        )
        assert done.returncode == 0, f"{own}\n{done.stdout}{done.stderr}"
        return done.stdout

    try:
        wait_for(lambda: answers(port), run, log)
        wait_for(lambda: "eve-turn-7" in log.read_text(), run, log)
        yield run_step
    finally:
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0


def answers(port):
    asked = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{port}/readyz"], capture_output=True, check=False)
    return asked.returncode == 0


def wait_for(condition, run, log):
    deadline = time.monotonic() + _READY_S
    while not condition():
        assert run.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


def test_every_step_of_the_tutorial_runs_and_prints_what_the_page_shows(shell):
    assert len(STEPS) >= 7
    for commands, shown in STEPS:
        printed, begin = re.sub(r"\s+", " ", shell(commands)), 0
        for line in shown:
            place = printed.find(line, begin)
            assert place >= 0, f"{line!r} is not printed by\n{commands}\n{printed}"
            begin = place + len(line)
