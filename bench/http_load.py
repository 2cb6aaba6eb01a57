"""Requests to a server at a fixed rate, whatever the answers take (open loop); each answer's time, by its hops."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Body = Callable[[int], tuple[bytes, Mapping[str, str]]]
"""By the number of a request, its body and further headers."""


class Timing(NamedTuple):
    """One answer. Milliseconds."""

    number: int
    total: float
    """At the client, from request to answer."""
    hops: Mapping[str, float]
    """Of `Server-Timing`."""
    status: int
    late: bool
    """Whether the worker's decision did not come in time, so that it is not known what was whose share."""

    @property
    def decide(self) -> float:
        """What the worker took."""
        return self.hops.get("decide", 0.0)

    @property
    def own(self) -> float:
        """The door's own share: acknowledge, deliver, parse, and all else but what the worker took."""
        return self.total - self.decide

    @property
    def parse(self) -> float:
        """What no hop names: parsing, checking, writing the answer, and both ways through the sockets."""
        return self.total - sum(self.hops.values())


def hops_of(header: str) -> dict[str, float]:
    """Milliseconds by name, of `Server-Timing`.

    >>> hops_of("ack;dur=1.25, decide;dur=3.5"), hops_of("")
    ({'ack': 1.25, 'decide': 3.5}, {})
    """
    pairs = (hop.strip().partition(";dur=") for hop in header.split(","))
    return {name: float(ms) for name, found, ms in pairs if found}


class Connections:
    """Keep-alive connections of HTTP/1.1 to one server, as many as are needed at once."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes, headers: Mapping[str, str] | None = None, number: int = 0) -> Timing:
        """Send the body, read the answer."""
        further = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
            f"{further}content-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():  # a server ends those that are idle for some seconds
                break
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answered = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
        if "content-length" in answered:
            await reader.readexactly(int(answered["content-length"]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        took = 1000 * (time.perf_counter() - began)
        self._free.append((reader, writer))
        hops, late = hops_of(answered.get("server-timing", "")), "endocrine-advice" in answered
        return Timing(number, took, hops, int(lines[0].split(" ")[1]), late)

    async def close(self) -> None:
        """End them."""
        for _, writer in self._free:
            writer.close()


async def load(asked: Connections, rate: float, seconds: float, body: Body, first: int = 0) -> list[Timing]:
    """Ask at a rate for a time; all answers, in the order of their requests. first: number of the first request."""
    loop, tasks = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        content, headers = body(first + number)
        tasks.append(asyncio.create_task(asked.ask(content, headers, first + number)))
    return await asyncio.gather(*tasks)
