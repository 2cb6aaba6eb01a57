"""What the gateway costs: `make bench-gateway`. `POST /v1/turns` beside a bare Starlette app, in one run.

The gateway's own share of an answer is the time from request to answer without `decide` of `Server-Timing`, which is
the worker's. The bare app does the least that such an answer needs: it parses the body, produces it with a stock
aiokafka producer, and answers when a stock aiokafka consumer reads it back. Requests come at a fixed rate whatever the
answers take (open loop); both are asked in turns, because the machine's speed changes from minute to minute.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson
import uvloop

from bench.machine import cpu_seconds
from bench.servers import POLL_S, Server, process, quietly
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process.settings import Settings

RATES = (20, 200)
SECONDS = 10.0
WARM_S = 3.0
IDENTITIES = 200


class Timing(NamedTuple):
    """One answer. Milliseconds."""

    total: float
    decide: float
    status: int
    late: bool
    """Whether the worker's decision did not come in time, so that it is not known what was whose share."""

    @property
    def own(self) -> float:
        """Without what the worker took."""
        return self.total - self.decide


class Connections:
    """Keep-alive connections of HTTP/1.1 to one server, as many as are needed at once."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes) -> Timing:
        """Send the body, read the answer."""
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
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
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
        await reader.readexactly(int(headers["content-length"]))
        took = 1000 * (time.perf_counter() - began)
        self._free.append((reader, writer))
        hops = dict(hop.strip().split(";dur=") for hop in headers.get("server-timing", "").split(",") if hop)
        late = "endocrine-advice" in headers
        return Timing(took, float(hops.get("decide", 0)), int(lines[0].split(" ")[1]), late)

    async def close(self) -> None:
        """End them."""
        for _, writer in self._free:
            writer.close()


async def load(asked: Connections, rate: float, seconds: float) -> list[Timing]:
    """Ask at a rate for a time; all answers."""
    loop, tasks = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        body = orjson.dumps({"identity": f"ann-{number % IDENTITIES}", "prompt": "How long do refunds take?"})
        tasks.append(asyncio.create_task(asked.ask(body)))
    return await asyncio.gather(*tasks)


def quantile(found: Sequence[float], part: float) -> float:
    """The value that this part of all does not exceed."""
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def bare(bootstrap: str, topic: str, partitions: int, ready: Path) -> None:
    """The bare app."""
    import uvicorn
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    waiting: dict[bytes, asyncio.Future[bytes]] = {}

    async def answer(request: Request) -> Response:
        value = orjson.loads(await request.body())
        key = os.urandom(8)
        echoed = waiting[key] = asyncio.get_running_loop().create_future()
        await producer.send_and_wait(topic, orjson.dumps(value), key=key)
        return Response(await echoed, 201, media_type="application/json")

    async def read() -> None:
        async for record in consumer:
            if (echoed := waiting.pop(record.key, None)) is not None:
                echoed.set_result(record.value)

    await asyncio.gather(producer.start(), consumer.start())
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.seek_to_end()
    reading = asyncio.create_task(read())
    app = Starlette(routes=[Route("/turns", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(POLL_S)
    part = ready.with_suffix(".part")
    part.write_text(str(server.servers[0].sockets[0].getsockname()[1]))
    part.replace(ready)
    await serving
    reading.cancel()
    await asyncio.gather(producer.stop(), consumer.stop())


async def measure(rates: Sequence[float], seconds: float, profile: Path | None) -> None:
    """Start all, measure, print."""
    with TemporaryDirectory(prefix="endocrine-bench-") as name:
        folder = Path(name)
        await prepared(quietly)
        async with LocalStack(folder / "data") as stack:
            settings = Settings(bootstrap=stack.bootstrap, redis_url=stack.redis_url, data_dir=folder / "data")
            await ensure_topics(settings, [])
            echo, ready = f"{settings.prefix}signals", [folder / f"ready-{n}" for n in range(3)]
            env = {
                **os.environ,
                "ENDOCRINE_BOOTSTRAP": str(stack.bootstrap),
                "ENDOCRINE_REDIS_URL": str(stack.redis_url),
                "ENDOCRINE_DATA_DIR": str(folder / "data"),
            }
            cli = ("-m", "endocrine.pipeline.cli")
            profiled = ("-m", "cProfile", "-o", str(profile)) if profile else ()
            arguments = ("gateway", "--port", "0", "--ready-file", str(ready[1]))
            own = ("-m", "bench.gateway", "--bare", str(stack.bootstrap), echo, str(settings.partitions), str(ready[2]))
            async with (
                process(ready[0], *cli, "worker", "--ready-file", str(ready[0]), log=folder / "worker", env=env) as at,
                process(ready[1], *profiled, *cli, *arguments, log=folder / "gateway", env=env) as ours,
                process(ready[2], *own, log=folder / "bare", env=env) as theirs,
            ):
                gateway = Server("gateway", ours, int(ready[1].read_text().rpartition(":")[2]), "/v1/turns")
                plain = Server("bare", theirs, int(ready[2].read_text()), "/turns")
                for rate in rates:
                    for server in (gateway, plain):
                        await one(server, rate, seconds, at)


async def one(server: Server, rate: float, seconds: float, worker: int) -> None:
    """Measure one server at one rate, and print it."""
    asked = Connections(server.port, server.path)
    await load(asked, min(rate, 50), WARM_S)
    before, decided = cpu_seconds(server.pid), cpu_seconds(worker)
    found = await load(asked, rate, seconds)
    used, decided = cpu_seconds(server.pid) - before, cpu_seconds(worker) - decided
    await asked.close()
    good = sum(timing.status == 201 for timing in found)
    decided_in_time = [timing for timing in found if not timing.late]
    figures: dict[str, Any] = {
        "own": [timing.own for timing in decided_in_time],
        "total": [timing.total for timing in found],
        "decide": [timing.decide for timing in decided_in_time],
    }
    shown = "  ".join(
        f"{name} p50 {quantile(values, 0.5):7.2f} p99 {quantile(values, 0.99):8.2f} ms"
        for name, values in figures.items()
        if any(values)
    )
    print(
        f"{server.name:8} {rate:4.0f}/s  {shown}  cpu {1000 * used / len(found):5.2f} ms a request"
        f" (worker {1000 * decided / len(found):.2f})  {good}/{len(found)} good,"
        f" {len(found) - len(decided_in_time)} late  load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.gateway", description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="requests per second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each rate and server")
    parser.add_argument("--profile", type=Path, help="file for a cProfile of the gateway")
    parser.add_argument("--bare", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bootstrap, topic, partitions, ready = given.bare
        uvloop.run(bare(bootstrap, topic, int(partitions), Path(ready)))
    else:
        asyncio.run(measure(given.rates, given.seconds, given.profile))


if __name__ == "__main__":
    main()
