"""How the end of a program that we started is seen."""

import os
import subprocess
import sys

import pytest

from endocrine.pipeline.process.subprocesses import ended


@pytest.fixture
def program():
    """It ends with 3 once its input ends."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(3)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process


@pytest.mark.parametrize("watched", ["by the kernel", "by looking"])
async def test_the_exit_code_of_a_program_is_seen_when_it_ends(watched, program, monkeypatch):
    if watched == "by looking":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    program.stdin.close()
    assert await ended(program, 0.01) == 3
    assert await ended(program, 0.01) == 3, "it may have ended before"
