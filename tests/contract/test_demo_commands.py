"""`endocrine demo` and `endocrine run` as a person starts them: child processes, signals, exit codes."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.local.live.summary import summary
from endocrine.pipeline.local.live.totals import Totals
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.event import Event

pytestmark = pytest.mark.slow

DEADLINE_S = 300
"""Far above what a loaded machine needs."""


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Started:
    """A command with its own data folder, without a terminal."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "endocrine.pipeline.cli", *arguments],
                env={**clean, "ENDOCRINE_DATA_DIR": str(folder / "data"), "PYTHONFAULTHANDLER": "1", **environment},
                stdout=out,
                stderr=err,
            )

    def ended(self) -> int:
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # its stacks come after what it said
            self.process.wait(10)
            logs = (log.read_text()[-2000:] for log in (self.folder / "data").glob("*.log"))
            told = self.err.read_text()[-6000:] + "".join(logs)
            raise AssertionError(f"still running {DEADLINE_S} s after it was to end: {told}") from None

    def told(self, *arguments: str, **more: str) -> str:
        """What another command says on the same data folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        command = [sys.executable, "-m", "endocrine.pipeline.cli", *arguments]
        environment = {**clean, "ENDOCRINE_DATA_DIR": str(self.folder / "data"), **more}
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
        assert asked.returncode == 0, asked.stderr
        return asked.stdout

    def others(self) -> dict[int, str]:
        """Processes that name our folder: Kafka, Valkey and worker; of a run also gateway and connectors."""
        return naming(self.folder / "data")

    def worker(self) -> int | None:
        return next((pid for pid, command in self.others().items() if " worker " in command), None)

    def fed(self) -> int:
        try:
            return int(json.loads((self.folder / "data" / "feed.json").read_text())["local"])
        except (OSError, ValueError):
            return 0


def naming(folder: Path) -> dict[int, str]:
    """Processes that name this folder, with their command lines."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in command:
            found[int(directory.name)] = command
    return found


class Terminal:
    """A command on a terminal of its own, of 100 columns and 30 lines."""

    def __init__(self, data: Path, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        environment |= {"ENDOCRINE_DATA_DIR": str(data), "TERM": "xterm"}
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "endocrine.pipeline.cli", *arguments],
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._ours = ours
        self._shown = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what a terminal whose other end is closed answers
            while data := os.read(self._ours, 65536):
                self._shown += data

    def shown(self) -> str:
        return self._shown.decode("utf-8", "replace")

    def interrupt(self) -> None:
        os.write(self._ours, b"\x03")

    def ended(self) -> int:
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*arguments, **environment):
        started.append(Started(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        for pid in one.others():
            os.kill(pid, signal.SIGKILL)


def simulated():
    """The summary of the same scenario without any broker; its last line, the time, left out."""
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    totals, lines = Totals(), [scenario.live(line, 0, 1.8e9) for line in scenario.lines()]
    for line in lines:
        for derived in simulation.feed(orjson.dumps(line)):
            found = orjson.loads(derived.line())
            totals.apply(Event(found["topic"], found["key"], found["headers"]["ce_id"], found["value"], True))
    return summary(totals, len(lines), 0.0)[:-1]


async def test_a_demo_ends_with_the_counts_that_simulate_gives(start, broker):
    demo = start("demo", "--bootstrap", broker.bootstrap)
    assert demo.ended() == 0, demo.err.read_text()
    lines = demo.out.read_text().splitlines()
    expected = simulated()
    begin = lines.index(expected[0])
    assert lines[begin:-1] == expected
    assert any(line.startswith("turn ") for line in lines[:begin])
    assert demo.others() == {}
    assert "Traceback" not in demo.err.read_text()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    async with asyncio.timeout(DEADLINE_S):
        while [name for name in await admin.list_topics() if ".demo-" in name]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # the broker takes them away in its own time
    await admin.close()


@pytest.mark.node
def test_a_demo_ends_with_what_to_try_next_and_its_data_can_be_looked_at_as_it_says(start):
    demo = start("demo")
    assert demo.ended() == 0, demo.err.read_text()
    offered = [line.split("   ")[0].split() for line in demo.err.read_text().splitlines() if " endocrine " in line]
    commands = [words for words in offered if words[0].startswith("ENDOCRINE_DATA_DIR=")]
    assert len(commands) == 3
    for place, _, *words in commands:
        told = demo.told(*words, **dict([place.split("=")]))
        assert {"explain": "Tool calls denied: open_url", "incidents": "eve-turn-7", "replay": "proved:"}[
            words[0]
        ] in told
        assert demo.others() == {}, "what was started for the command ends with it"


@pytest.mark.node
def test_a_demo_whose_worker_dies_fails_and_says_why(start):
    demo = start("demo")
    wait_for(lambda: "turn " in demo.out.read_text())
    os.kill(demo.worker(), signal.SIGKILL)
    assert demo.ended() == 1
    assert "error: the worker ended (signal 9). Its log" in demo.err.read_text()
    assert demo.others() == {}


@pytest.mark.node
def test_a_run_that_is_stopped_ends_cleanly_and_goes_on_when_started_again(start):
    first = start("run", "--pace", "30")
    wait_for(lambda: first.fed() > 30)
    first.process.send_signal(signal.SIGINT)
    assert first.ended() == 0
    assert first.others() == {}
    fed, shown = first.fed(), first.out.read_text()

    again = start("run", "--pace", "30")
    wait_for(lambda: again.fed() > fed + 20)
    again.process.send_signal(signal.SIGINT)
    assert again.ended() == 0
    news = again.out.read_text()[len(shown) :]
    assert "ann-turn-1 revision 0" in shown
    assert "turn " in news
    assert "ann-turn-1 revision 0" not in news
    assert "Traceback" not in again.err.read_text()


@pytest.mark.node
def test_the_project_of_a_run_gives_a_pack_that_says_what_is_curated_and_what_is_disputed(start):
    run = start("run", "--rounds", "1", "--pace", "100")
    wait_for(lambda: "1 rounds of the scenario are fed" in run.err.read_text())
    asked = ("context", "build", "Which seal has the pump?", "--identity", "ida", "--project", "PUMP")
    wait_for(lambda: "[adaptation] seal: NBR (disputed, conflict c-" in run.told(*asked))  # the read models follow
    assert "[decision] housing: PA66-GF30 (curated)" in run.told(*asked).splitlines()
    run.process.send_signal(signal.SIGINT)
    assert run.ended() == 0


@pytest.mark.node
def test_without_java_maven_and_redis_on_the_path_run_shows_its_view_and_again_what_was_there(tmp_path, monkeypatch):
    """As on a machine with Python alone, on a terminal."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    data = tmp_path / "data"
    for rounds in ("1", "0"):
        with Terminal(data, "run", "--rounds", rounds, "--pace", "50") as run:
            try:
                wait_for(lambda run=run: "-turn-" in run.shown())  # nothing is fed the second time
            except AssertionError:
                logs = "".join(f"\n{log}:\n{log.read_text()[-3000:]}" for log in data.rglob("*.log"))
                raise AssertionError(f"no turn in {rounds} rounds: {run.shown()[-2000:]!r}{logs}") from None
            run.interrupt()
            assert run.ended() == 0
            assert "Ctrl-C ends it" in run.shown()
        assert naming(data) == {}


@pytest.mark.node
def test_a_run_uses_the_stack_that_is_up_and_leaves_it_up(start):
    def ended(*arguments):
        command = start(*arguments)
        return command.ended()

    up = start("up")
    assert up.ended() == 0, up.err.read_text()
    before = up.others()
    assert len(before) == 2
    assert ended("up") == 0
    assert ended("status") == 0
    run = start("run", "--rounds", "0")
    wait_for(lambda: "nothing is fed" in run.err.read_text())
    run.process.terminate()
    assert run.ended() == 0
    assert up.others() == before
    assert ended("down") == 0
    assert ended("status") == 1
    assert up.others() == {}


@pytest.mark.node
def test_a_worker_that_is_killed_comes_back_and_the_run_goes_on(start):
    run = start("run", "--pace", "10")
    wait_for(lambda: run.out.read_text().count("\n") > 5)
    killed = run.worker()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: run.worker() not in (None, killed))
    shown = run.out.read_text()
    wait_for(lambda: run.out.read_text().count("\n") > shown.count("\n") + 15)
    assert "the worker ended (signal 9); restart 1 of 5" in run.err.read_text()
    run.process.terminate()
    assert run.ended() == 0


@pytest.mark.node
def test_nothing_outlives_a_run_that_is_killed_and_a_second_one_in_its_folder_is_refused(start):
    run = start("run")
    wait_for(lambda: "turn " in run.out.read_text())
    second = start("run")
    assert second.ended() == 1
    assert f"(process {run.process.pid}) uses the data folder" in second.err.read_text()
    assert len(run.others()) == 5
    run.process.kill()
    wait_for(lambda: run.others() == {})


def test_a_broker_that_is_not_there_is_an_error_that_names_it(start):
    run = start("run", "--bootstrap", "127.0.0.1:1")
    assert run.ended() == 1
    told = run.err.read_text()
    assert "127.0.0.1:1" in told
    assert "Traceback" not in told
    assert run.others() == {}


def test_a_policy_that_is_refused_is_said_before_anything_starts(start, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("maps: {stress: {temperature: 'import os'}}\n")
    run = start("run", ENDOCRINE_POLICY=str(policy))
    assert run.ended() == 2
    assert "policy.yaml:1: maps.stress.temperature" in run.err.read_text()
    assert not (tmp_path / "data").exists()
