"""What the gateway costs: `make bench-gateway`, two parts, each in turns with another server, in one run.

turns: `POST /v1/turns` beside a bare Starlette app (bench.bare_app), which does the least that such an answer needs.
The door's own share of an answer is the time at the client without `decide` of `Server-Timing`, which is the worker's:
acknowledge, deliver, and what no hop names (parse).

proxy: `POST /openai/v1/chat/completions` beside a LiteLLM proxy, both in front of one model server. What a proxy adds
is the time at the client less the time of the same request in the model server. LiteLLM passes a request on; ours
decides, records and judges it, by a worker and a model connector, whose processor time is shown as well.

Requests come at a fixed rate whatever the answers take; servers are asked in turns, because the machine's speed changes
from minute to minute.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from bench.door_figures import Cpu, Found, Judged, judged, proxy_figures, turn_figures
from bench.http_load import Body, Connections, Timing, load
from bench.litellm_proxy import litellm
from bench.machine import cpu_seconds
from bench.model_server import MARKER, times_of
from bench.servers import CLI, Server, based, port_in, process, serving, until_stopped
from endocrine.pipeline.process.roles import PARTS as PARTS_OF_ALL
from endocrine.pipeline.process.settings import Settings

RATES = (50, 200, 300)
PARTS = ("turns", "proxy")
SECONDS = 10.0
WARM_S = 3.0
IDENTITIES = 2000
"""So many that nobody's limits are met: a person asks every seven seconds at the highest rate."""
MODEL = "gpt-4o-mini"
LITELLM = Path(sys.prefix) / "litellm" / "bin" / "litellm"
"""In the environment beside this one."""


def turn(number: int) -> tuple[bytes, Mapping[str, str]]:
    """A turn of one of many people."""
    return orjson.dumps({"identity": f"ann-{number % IDENTITIES}", "prompt": "How long do refunds take?"}), {}


def completion(key: str, number: int) -> tuple[bytes, Mapping[str, str]]:
    """A chat completion, with a marker by which the model server knows it. key: of the proxy; ours takes any here."""
    message = {"role": "user", "content": f"How long do refunds take? {MARKER % number}"}
    headers = {"authorization": f"Bearer {key}", "endocrine-identity": f"ann-{number % IDENTITIES}"}
    return orjson.dumps({"model": MODEL, "messages": [message], "user": f"ann-{number % IDENTITIES}"}), headers


_hundred_thousands = count(0, 100_000)
"""Numbers of requests, a range for each load: markers of the model server have seven digits."""


class Stack(NamedTuple):
    """What runs for all parts."""

    folder: Path
    env: Mapping[str, str]
    settings: Settings
    workers: tuple[int, ...]
    gateway: Server


@asynccontextmanager
async def stack(profile: Path | None) -> AsyncIterator[Stack]:
    """Kafka, Valkey, a worker of each role and a gateway."""
    profiled = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    decide, record = PARTS_OF_ALL
    async with (
        based() as base,
        serving(base, "worker", "--role", decide) as (deciding, _),
        serving(base, "worker", "--role", record) as (recording, _),
        serving(base, "gateway", "--port", "0", before=profiled) as (door, ready),
    ):
        workers = deciding, recording
        server = Server("gateway", door, port_in(ready), "/v1/turns", workers)
        yield Stack(base.folder, base.env, base.settings, workers, server)


async def turns(held: Stack, rates: Sequence[float], seconds: float, console: Console) -> Found:
    """The part `turns`."""
    ready, settings = held.folder / "bare-ready", held.settings
    own = ("-m", "bench.bare_app", settings.bootstrap, f"{settings.prefix}signals", str(settings.partitions))
    async with process(ready, *own, str(ready), log=held.folder / "bare", env=held.env) as theirs:
        plain = Server("bare", theirs, int(await asyncio.to_thread(ready.read_text)), "/turns")
        found: Found = {}
        for rate in rates:
            for server in (held.gateway, plain):
                answers, cpu = await _timed(server, rate, seconds, turn)
                _note(console, "turns", found, server, rate, turn_figures(answers, cpu))
        return found


async def proxy(held: Stack, rates: Sequence[float], seconds: float, program: Path | None, console: Console) -> Found:
    """The part `proxy`. program: `litellm`; None: ours alone."""
    folder, ready, connected = held.folder, held.folder / "model-ready", held.folder / "connector-ready"
    async with AsyncExitStack() as running:
        started = running.enter_async_context
        await started(process(ready, "-m", "bench.model_server", str(ready), log=folder / "model", env=held.env))
        base_url, asked_at = (await asyncio.to_thread(ready.read_text)).split()
        env = {
            **held.env,
            "OPENAI_API_KEY": "none",
            "ENDOCRINE_MODEL_BASE_URL": base_url,
            "ENDOCRINE_MODEL_API": "chat",
        }
        connecting = (*CLI, "connect", "model", "--ready-file", str(connected))
        connector = await started(process(connected, *connecting, log=folder / "connector", env=env))
        servers = [held.gateway._replace(path="/openai/v1/chat/completions", others=(*held.workers, connector))]
        key = f"sk-{secrets.token_hex(32)}"  # it refuses to start without one
        if program is not None:
            servers.append(await started(litellm(program, key, MODEL, base_url, folder)))
        found: Found = {}
        for rate in rates:
            for server in servers:
                await times_of(int(asked_at))
                answers, cpu = await _timed(server, rate, seconds, partial(completion, key))
                figures = proxy_figures(answers, await times_of(int(asked_at)), cpu)
                _note(console, "proxy", found, server, rate, figures)
        return found


async def _timed(server: Server, rate: float, seconds: float, body: Body) -> tuple[list[Timing], Cpu]:
    """Answers, after a warm-up, and milliseconds of processor time for each."""
    asked = Connections(server.port, server.path)
    warm = await load(asked, min(rate, 50), WARM_S, body, next(_hundred_thousands))
    before = cpu_seconds(server.pid), sum(map(cpu_seconds, server.others))
    answers = await load(asked, rate, seconds, body, next(_hundred_thousands))
    after = cpu_seconds(server.pid), sum(map(cpu_seconds, server.others))
    await asked.close()
    if all(timing.status >= 400 for timing in warm):
        raise RuntimeError(f"{server.name} answers {warm[-1].status} to every request of its warm-up")
    own, others = (1000 * (late - early) / len(answers) for early, late in zip(before, after, strict=True))
    return answers, (own, others)


def _note(console: Console, part: str, found: Found, server: Server, rate: float, figures: Mapping[str, float]) -> None:
    found.setdefault(server.name, {})[f"{rate:g}"] = dict(figures)
    shown = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    console.print(f"{part} {server.name:8} {rate:4.0f}/s  load {os.getloadavg()[0]:.1f}  {shown}")


async def measure(given: argparse.Namespace, console: Console) -> dict[str, Found]:
    """Everything that was asked for: figures by part, server and rate."""
    found: dict[str, Found] = {}
    async with stack(given.profile) as held:
        if "turns" in given.only:
            found["turns"] = await turns(held, given.rates, given.seconds, console)
        if "proxy" in given.only:
            program = given.litellm if given.litellm.exists() else None
            if program is None:
                console.print(f"no LiteLLM at {given.litellm}: ours alone; `make bench-gateway` installs it")
            found["proxy"] = await proxy(held, given.rates, given.seconds, program, console)
    return found


def table(found: Sequence[Judged]) -> Table:
    """Targets with what was measured beside them."""
    shown = Table(title="doors: targets")
    for heading in ("measure", "measured", "target", ""):
        shown.add_column(heading, justify="right" if heading in ("measured", "target") else "left")
    for one in found:
        verdict = {True: "[green]met[/]", False: "[red]not met[/]", None: "[dim]not measured[/]"}[one.met]
        shown.add_row(one.measure, one.measured, one.target, verdict)
    return shown


def main() -> None:
    """See the module."""
    ask = argparse.ArgumentParser(
        prog="bench.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--rates", type=float, nargs="+", default=RATES, help="requests per second")
    ask.add_argument("--seconds", type=float, default=SECONDS, help="for each rate and server")
    ask.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts")
    ask.add_argument("--litellm", type=Path, default=LITELLM, help="its program")
    ask.add_argument("--profile", type=Path, help="file for a cProfile of the gateway")
    ask.add_argument("--output", type=Path, help="write the figures here, as JSON")
    given = ask.parse_args()
    console = Console(width=160)
    found = until_stopped(measure(given, console))
    console.print(table(judged(found)))
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
