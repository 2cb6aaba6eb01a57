"""What pages of the console cost with much behind them: `make bench-console`.

Read models of 100,000 identities (bonds, attribution, the newest 10,000 turns and incidents) are written straight into
Valkey, a million records straight onto a topic, in batches; some turns are real, for their audits. Then pages are asked
for one after the other. The time is the server's own, from `Server-Timing`; the client's is shown beside it.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2 as httpx
import orjson
import redis.asyncio
from rich.console import Console
from rich.table import Table

from bench.servers import based, serving, until_stopped
from endocrine.pipeline.console.browsing.example import example_of
from endocrine.pipeline.kafka.connection import producer
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import Projection, keys
from endocrine.pipeline.views.redis.keys import ViewKeys

IDENTITIES = 100_000
RECORDS = 1_000_000
LISTED = 10_000
"""Turns and incidents that the read models keep."""
TURNS = 20
"""Real ones."""
AT_ONCE = 2_000
TOPIC = "model-chunks"
"""Read by no agent: nothing works while pages are measured."""
SETTLE_S = 120.0


class Measure(NamedTuple):
    """One page. target: milliseconds; None: shown alone."""

    name: str
    path: str
    target: float | None


class Times(NamedTuple):
    """Milliseconds of one page's answers."""

    server: list[float]
    client: list[float]


@asynccontextmanager
async def stack() -> AsyncIterator[tuple[Settings, str]]:
    """Kafka, Valkey, a worker and a gateway; settings and the gateway's address."""
    async with based() as base, serving(base, "worker"), serving(base, "gateway", "--port", "0") as (_, ready):
        yield base.settings, await asyncio.to_thread(ready.read_text)


async def real_turns(settings: Settings, client: httpx.AsyncClient) -> list[str]:
    """Open and close turns; return their audit ids once the read models have the last one's bundle."""
    projection = Projection(settings)
    projecting = asyncio.create_task(projection.run())
    try:
        return await _opened_and_closed(client)
    finally:
        await projection.stop()
        await projecting


async def _opened_and_closed(client: httpx.AsyncClient) -> list[str]:
    ids = []
    for number in range(TURNS):
        person = {"identity": f"ann-{number}"}
        opened = await client.post("/v1/turns", json=person | {"prompt": "How long do refunds take?"})
        ids.append(opened.json()["audit_id"])
        await client.post(f"/v1/turns/{ids[-1]}/close", json=person | {"response": "Five days."})
    async with asyncio.timeout(SETTLE_S):
        for audit_id in ids:
            while (await client.get(f"/v1/audits/{audit_id}")).status_code != 200:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.2)
    return ids


async def fill_views(settings: Settings, identities: int) -> None:
    """Write read models: a bond and an attribution of each identity, the newest turns and incidents of some."""
    client = redis.asyncio.Redis.from_url(settings.redis_url or "", db=settings.redis_db)
    views, now = ViewKeys(settings.prefix), time.time()
    bond, state, incident = (example_of(name) for name in ("bonds", "attribution-states", "incidents"))
    modulation = {name: part for name, part in example_of("modulations").items() if name != "lineage"}
    try:
        for begin in range(0, identities, AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for number in range(begin, min(identities, begin + AT_ONCE)):
                who, at = f"person-{number}", now - 3600 - number / 100
                pipe.set(keys.bond(who), orjson.dumps(bond | {"user_id": who, "last_updated": at}))
                pipe.zadd(keys.bonds_index(), {who: round(at * 1000)})
                pipe.hset(keys.attribution(who), "motor.pace", orjson.dumps(state | {"identity": who}))
                if number < LISTED:
                    audit_id, ts = f"turn-{number}", {"ts": at}
                    whose = {"identity": who, "audit_id": audit_id}
                    pipe.hset(views.turn(audit_id), "modulation", orjson.dumps(modulation | whose | ts))
                    pipe.zadd(views.turns(), {audit_id: round(at * 1000)})
                    pipe.zadd(views.turns(who), {audit_id: round(at * 1000)})
                    known = incident | whose | ts | {"incident_id": f"i-{number}"}
                    pipe.zadd(views.incidents(), {orjson.dumps(known): round(at * 1000)})
            await pipe.execute()
    finally:
        await client.aclose()


async def fill_topic(settings: Settings, records: int) -> float:
    """Write records onto TOPIC; return the time when about half of them were there."""
    making = producer(settings, acks=1, max_batch_size=1 << 20)
    await making.start()
    value = example_of(TOPIC) | {"text": "x" * 60}
    middle = time.time()
    try:
        done, waiting = 0, list[asyncio.Future[Any]]()
        while done < records:
            batch = making.create_batch()
            while done < records:
                content = orjson.dumps(value | {"seq": done, "request_id": f"r{done % 997}"})
                if batch.append(key=b"person-%d" % (done % 5000), value=content, timestamp=None) is None:
                    break
                done += 1
            batch.close()
            partition = len(waiting) % settings.partitions
            waiting.append(await making.send_batch(batch, settings.prefix + TOPIC, partition=partition))
            if done < records // 2:
                middle = time.time()
        await asyncio.gather(*waiting)
        return middle
    finally:
        await making.stop()


async def asked(client: httpx.AsyncClient, path: str, times: int) -> Times:
    """Ask for a page so many times, after two that do not count. Raises RuntimeError where it is not shown."""
    found = Times([], [])
    for number in range(times + 2):
        begun = time.perf_counter()
        answer = await client.get(path)
        taken = 1000 * (time.perf_counter() - begun)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: status {answer.status_code}")
        if number >= 2:
            found.client.append(taken)
            found.server.append(float(answer.headers["server-timing"].rpartition("dur=")[2]))
    return found


def percentile(values: list[float], share: float) -> float:
    """Return the value that so large a share is not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def measure(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Fill everything, ask for every page; return figures by page."""
    async with stack() as (settings, url), httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        audits = await real_turns(settings, client)
        begun = time.monotonic()
        await fill_views(settings, given.identities)
        console.print(f"read models of {given.identities:,} identities in {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        middle = await fill_topic(settings, given.records)
        console.print(f"{given.records:,} records in {time.monotonic() - begun:.0f} s")
        topic = f"/console/topics/{TOPIC}"
        pages = (
            Measure("first page: overview", "/console", 300),
            Measure("first page: turns", "/console/turns", 300),
            Measure("first page: incidents", "/console/incidents", 300),
            Measure("first page: observation deck", "/console/bonds", 300),
            Measure("first page: an identity", "/console/identities/person-9", 300),
            Measure("first page: a topic", topic, 300),
            Measure("a topic from a time on", f"{topic}?since={middle:.3f}", 500),
            Measure("an audit by its id", f"/console/turns/{audits[0]}", 200),
            Measure("a topic, one key of 5000, from a time on", f"{topic}?since={middle:.3f}&key=person-17", None),
            Measure("a topic, by expression", f"{topic}?where=value.seq%20%25%20100%20%3D%3D%207", None),
            Measure("turns of one mode", "/console/turns?mode=creative", None),
        )
        found = {}
        for page in pages:
            found[page.name] = page, await asked(client, page.path, given.times)
            server = found[page.name][1].server
            console.print(f"{page.name}: median {statistics.median(server):.0f} ms, load {os.getloadavg()[0]:.1f}")
        return found


def table(found: dict[str, tuple[Measure, Times]]) -> Table:
    """Return the figures with their targets."""
    shown = Table(title="console: milliseconds of the server, 95th percentile against the target")
    for heading in ("page", "median", "p95", "client p95", "target", ""):
        shown.add_column(heading, justify="left" if heading in ("page", "") else "right")
    for page, times in found.values():
        p95 = percentile(times.server, 0.95)
        verdict = "" if page.target is None else "[green]met[/]" if p95 < page.target else "[red]not met[/]"
        shown.add_row(page.name, f"{statistics.median(times.server):.0f}", f"{p95:.0f}",
                      f"{percentile(times.client, 0.95):.0f}", f"{page.target or '-'}", verdict)  # fmt: skip
    return shown


def main() -> None:
    """See the module."""
    ask = argparse.ArgumentParser(prog="bench.console", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    ask.add_argument("--identities", type=int, default=IDENTITIES)
    ask.add_argument("--records", type=int, default=RECORDS)
    ask.add_argument("--times", type=int, default=30, help="requests of each page that count")
    given, console = ask.parse_args(), Console(width=120)
    before = os.getloadavg()[0]
    found = until_stopped(measure(given, console))
    console.print(table(found))
    console.print(f"{os.cpu_count()} cores, load average {before:.1f} before; above the cores the machine was shared")


if __name__ == "__main__":
    main()
