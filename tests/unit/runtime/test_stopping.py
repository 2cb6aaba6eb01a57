"""SIGTERM and SIGINT as the wish to stop, from a process's first line to its last."""

import signal
import subprocess
import sys

import pytest

FIRST = (
    "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from endocrine.pipeline.process import stopping; stopping.from_the_start(sys.argv[1:]); "
)
"""A shell has its background jobs ignore SIGINT, and what they start: tests that run in one must not."""
SAY = "print('now', flush=True); "
WORK = "any(map(time.sleep, [0.02] * 30_000))"
"""Ten minutes in short pieces: Python would not see a signal that comes just before one long sleep until its end."""
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def ended(code: str, number: signal.Signals, *words: str, times: int = 1) -> tuple[int, str]:
    """Exit code, and what it said, of a process that gets the signal once it says `now`, and again whenever it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    for _ in range(times):
        assert process.stdout.readline() == "now\n"
        process.send_signal(number)
    said = process.stdout.read()
    return process.wait(60), said


@BOTH
@pytest.mark.parametrize("command", ["worker", "connect", "run", "demo", "chat", "project"])
def test_a_service_that_has_not_begun_ends_at_once_with_0(command, number):
    assert ended(f"{FIRST}{SAY}{WORK}", number, command) == (0, "")


def test_another_command_that_is_interrupted_has_failed():
    assert ended(f"{FIRST}{SAY}{WORK}", signal.SIGTERM, "export", "signals") == (-signal.SIGTERM, "")
    assert ended(f"{FIRST}{SAY}{WORK}", signal.SIGTERM, "project", "--rebuild") == (-signal.SIGTERM, "")


LOOP = """
import asyncio
{policy}
async def main():
    stop = asyncio.Event()
    with stopping.asked(stop.set):
        print('now', flush=True)
        await stop.wait()
        print('stopping', flush=True)
asyncio.run(main())
print('now', flush=True)
sys.stdin.read()
sys.exit(7)
"""


@BOTH
@pytest.mark.parametrize("policy", ["", "import uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"])
def test_what_runs_is_asked_to_stop_and_a_late_signal_changes_no_exit_code(policy, number):
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST + "\n" + LOOP.format(policy=policy), "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    assert process.stdout.readline() == "now\n"
    process.send_signal(number)
    process.stdin.close()
    assert process.wait(60) == 7


def test_the_command_line_is_set_up_before_anything_slow_is_imported():
    slow = "{'typer', 'pydantic', 'aiokafka'}"
    code = f"import sys; import endocrine.pipeline.cli.main; print(sorted({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_a_process_that_only_calls_us_gets_its_own_handlers_back():
    from endocrine.pipeline.process import stopping

    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.asked(lambda: None):
        assert [signal.getsignal(number) for number in stopping.SIGNALS] != before
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
