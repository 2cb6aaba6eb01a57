"""Child processes that never outlive us: brokers and workers are started and ended through here."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_LOG_LIMIT = 8 << 20
"""Bytes; a longer log of earlier runs is set aside as `<name>.1` at start, so that logs stay bounded."""


class BrokerError(RuntimeError):
    """A local broker could not be started, or does not answer. The message names what to do."""


def free_port(*preferred: int | None) -> int:
    """Return the first preferred port that can be bound on loopback, else any free one.

    Another process may take it before it is used: callers retry.
    """
    for port in (*preferred, 0):
        if port is not None and (found := _bindable(port)):
            return found
    raise BrokerError("no port can be bound on 127.0.0.1: is the loopback interface up?")


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    return bool(_bindable(port))


def _bindable(port: int) -> int:
    with socket.socket() as probe:
        # As servers do: a connection of the last run in TIME_WAIT does not make its port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def port_answers(port: int) -> bool:
    """Return whether something listens on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spawn(
    argv: Sequence[str | Path],
    log: Path,
    *,
    output: Path | None = None,
    env: Mapping[str, str] | None = None,
    detached: bool = False,
    orphan_signal: int = signal.SIGTERM,
) -> "subprocess.Popen[bytes]":
    """Start a program in its own session (Ctrl-C in our terminal does not reach it), its output appended to `log`.

    output: file for what it writes to stdout, where that is no log.
    Unless detached, the kernel sends it `orphan_signal` when the thread that started it ends, however that happens
    (kill -9 included), so start it from a thread that lives as long as the child should: the main one. Linux only;
    elsewhere a killed parent leaves the child, and the next start ends it. Raises OSError when the program cannot be
    run.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))
    parent = os.getpid()

    def end_with_parent() -> None:
        assert _LIBC is not None
        _LIBC.prctl(_PR_SET_PDEATHSIG, orphan_signal)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), orphan_signal)

    with ExitStack() as files:
        lines = files.enter_context(log.open("ab"))
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=lines if output is None else files.enter_context(output.open("wb")),
            stderr=lines,
            env=env,
            start_new_session=True,
            preexec_fn=None if detached or _LIBC is None else end_with_parent,
        )


def end(process: "subprocess.Popen[bytes] | None", grace_s: float) -> None:
    """Send SIGTERM, then SIGKILL after `grace_s` seconds; returns when the process is gone and reaped."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def ended(process: "subprocess.Popen[bytes]", poll_s: float) -> int:
    """Wait until the program has ended; its exit code. Except on Linux it is looked at every `poll_s` seconds."""
    if process.poll() is None and hasattr(os, "pidfd_open"):
        over = asyncio.Event()
        handle = os.pidfd_open(process.pid)  # not reaped yet, so the number is still its own
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(handle, over.set)
            await over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return process.wait()
    while (code := process.poll()) is None:  # noqa: ASYNC110
        await asyncio.sleep(poll_s)
    return code


def last_lines(log: Path, count: int = 8) -> str:
    """Return the end of a log, indented, for an error message."""
    if not log.exists():
        return "    (no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    lines = [line for line in lines if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-count:]) or "    (log is empty)"
