"""Many open streams on one gateway: `make bench-streams`. What one costs in memory, and that each gets an event.

Streams of `GET /v1/events` are opened in steps; after each the gateway's memory is read, the mean of what each stream
added is printed, and one turn is opened, whose modulation every stream must get. Bounded: by the number of streams, and
by a deadline for each step.
"""

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson
import uvloop

from bench.http_load import Connections
from bench.servers import based, port_in, serving

STEPS = (1000, 10_000)
AT_ONCE = 100
STEP_S = 180.0
_SPARE_FILES = 500


def rss_bytes(pid: int) -> int:
    """Memory that a process holds (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stream(asyncio.Protocol):
    """One stream: whether it is open, and how many events it got. Nothing of it is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened = asyncio.get_running_loop().create_future()
        self.events = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask."""
        self.transport = transport
        transport.write(f"GET /v1/events?topic=modulations HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
        self.events += data.count(b"event: modulations")

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        if not self.opened.done():
            self.opened.set_result(False)


async def opened(port: int, count: int) -> list[Stream]:
    """So many streams more."""
    room, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()

    async def one() -> Stream:
        async with room:
            _, stream = await loop.create_connection(lambda: Stream(port), "127.0.0.1", port)
            if not await stream.opened:
                raise RuntimeError("a stream was not opened; the gateway refused it or ended")
            return stream

    return await asyncio.gather(*(one() for _ in range(count)))


async def measure(steps: Sequence[int]) -> None:
    """Start a gateway and a worker, measure, print."""
    async with based() as plain:
        base = plain._replace(env={**plain.env, "ENDOCRINE_GATEWAY_STREAMS": str(max(steps))})
        async with serving(base, "worker"), serving(base, "gateway", "--port", "0") as (pid, ready):
            await _measured(pid, port_in(ready), steps)


async def _measured(pid: int, port: int, steps: Sequence[int]) -> None:
    turns = Connections(port, "/v1/turns")
    streams: list[Stream] = []
    try:
        streams += await opened(port, AT_ONCE)  # what comes with the first streams is no stream's
        await delivered(turns, streams)
        first, before = len(streams), rss_bytes(pid)
        for step in steps:
            async with asyncio.timeout(STEP_S):
                streams += await opened(port, step - len(streams))
                took_s = await delivered(turns, streams)
            added = (rss_bytes(pid) - before) / (len(streams) - first)
            lost = sum(stream.transport.is_closing() for stream in streams)
            print(
                f"{len(streams):6} streams  {added / 1024:6.1f} KiB a stream  {rss_bytes(pid) >> 20:4} MiB in all"
                f"  an event reached all of them within {took_s:.2f} s  {lost} lost  load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    finally:
        for stream in streams:
            stream.transport.abort()
        await turns.close()


async def delivered(turns: Connections, streams: Sequence[Stream]) -> float:
    """Open a turn, and wait until every stream got its modulation; seconds."""
    before = [stream.events for stream in streams]
    began = time.perf_counter()
    timing = await turns.ask(orjson.dumps({"identity": "ann", "prompt": "How long do refunds take?"}))
    if timing.status != 201:
        raise RuntimeError(f"the turn was answered with {timing.status}")
    async with asyncio.timeout(STEP_S):
        while any(stream.events <= known for stream, known in zip(streams, before, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return time.perf_counter() - began


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.streams", description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="streams that are open at a step, rising")
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(given.steps) + _SPARE_FILES
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    uvloop.run(measure(given.steps))


if __name__ == "__main__":
    main()
