"""The alerting example, from a worker to a webhook: `make alerts-test`.

Prometheus and Alertmanager run with the files of docker/prometheus, on other ports; beside them Kafka, Valkey, the four
processes that the example scrapes, and a receiver of webhooks. A stranger's record must page; a worker that is killed
must page, and its coming back must be told. Nothing else may. Debian's packages prometheus and prometheus-alertmanager
are needed. Exit code 1: an alert did not come, or one came that nothing gave cause to.
"""

import asyncio
import contextlib
import logging
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import orjson
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.seal_keys import make_key_file
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import end, free_port, last_lines, spawn
from running import CommandChild
from waiting import until

EXAMPLE = Path(__file__).resolve().parents[2] / "docker" / "prometheus"
NEEDED = ("prometheus", "prometheus-alertmanager")
Came = tuple[str, str]
"""Name of an alert, and whether it is firing or resolved."""
PATIENCE_S = 420.0
"""Seconds for one alert: its `for`, and what scraping, grouping and sending take."""
EXPECTED = {("EndocrineUnsealed", "firing"), ("EndocrineNoUnits", "firing"), ("EndocrineNoUnits", "resolved"),
            ("EndocrineProcessDown", "firing"), ("EndocrineProcessDown", "resolved")}  # fmt: skip


class Receiver(HTTPServer):
    """Takes what Alertmanager sends to a webhook."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.pages: list[Came] = []
        self.tickets: list[Came] = []
        self._begun = time.monotonic()

    def passed(self) -> float:
        """Return the seconds of this run until now."""
        return time.monotonic() - self._begun


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        document = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kept = {"/pages": self.server.pages, "/tickets": self.server.tickets}[self.path]
        for alert in document["alerts"]:
            name = alert["labels"]["alertname"]
            kept.append((name, alert["status"]))
            summary = alert["annotations"]["summary"]
            print(f"{self.server.passed():5.0f} s  {self.path} {name} {alert['status']}: {summary}", flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return None


def files(folder: Path, ports: dict[str, int]) -> None:
    """Write the example into the folder, with the ports of this run, and news of a group sent sooner."""
    for name in ("prometheus.yml", "alertmanager.yml", "alerts.yml"):
        text = (EXAMPLE / name).read_text().replace("group_interval: 5m", "group_interval: 30s")
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports.get(found[1], found[1])}", text)
        (folder / name).write_text(text)


async def stranger(settings: Settings) -> None:
    """Write what only workers write, without their seal."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        await producer.send_and_wait(settings.prefix + "tool-decisions", b"{}", key=b"ann")


async def scraped(prometheus: str, count: int) -> None:
    """Return when so many processes of ours answer Prometheus."""

    async def answering() -> bool:
        try:
            found = (await client.get("/api/v1/query", params={"query": 'count(up{job=~"endocrine.*"} == 1)'})).json()
        except httpx.HTTPError:
            return False
        values = found["data"]["result"]
        return bool(values) and int(values[0]["value"][1]) == count

    async with httpx.AsyncClient(base_url=prometheus) as client:
        await until(answering, PATIENCE_S)


async def came(kept: list[Came], *wanted: Came) -> None:
    """Return when all of these have come."""
    await until(lambda: set(wanted) <= set(kept), PATIENCE_S)


async def main(folder: Path) -> int:
    """Run it; return the exit code."""
    ports = {name: str(free_port()) for name in ("9464", "9465", "9466", "8080", "9090", "9093", "9099")}
    receiver = Receiver(int(ports["9099"]))
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    files(folder, ports)
    make_key_file(folder / "seal.keys")
    async with contextlib.AsyncExitStack() as ending:
        await prepared(lambda doing: contextlib.nullcontext(lambda done, total: None))
        node = await ending.enter_async_context(KafkaNode(folder / "kafka", properties=PATIENT))
        valkey = ValkeyServer(folder / "valkey")
        await valkey.start()
        ending.push_async_callback(valkey.stop)
        settings = Settings(
            bootstrap=node.bootstrap,
            redis_url=valkey.url,
            data_dir=folder / "data",
            partitions=1,
            seal_key_file=folder / "seal.keys",
        )
        await ensure_topics(settings, [agent.name for agent in AGENTS])

        def command(*words: str, **more: str) -> CommandChild:
            child = CommandChild(settings, folder / f"{words[0]}.log", words, more)
            ending.push_async_callback(child.end)
            return child

        worker = command("worker", ENDOCRINE_METRICS_PORT=ports["9464"])
        await worker.start()
        await command("connect", "timekeeper", ENDOCRINE_METRICS_PORT=ports["9465"]).start()
        await command("project", ENDOCRINE_METRICS_PORT=ports["9466"]).start()
        await command("gateway", "--port", ports["8080"]).start()
        listens = "--web.listen-address=127.0.0.1:"
        for name, words in {
            "prometheus": [f"--storage.tsdb.path={folder}/tsdb", listens + ports["9090"]],
            "prometheus-alertmanager": [
                f"--storage.path={folder}/alertmanager",
                listens + ports["9093"],
                "--cluster.listen-address=",
            ],
        }.items():
            config = folder / {"prometheus": "prometheus.yml"}.get(name, "alertmanager.yml")
            ending.callback(end, spawn([name, f"--config.file={config}", *words], folder / f"{name}.log"), 20)
        await scraped(f"http://127.0.0.1:{ports['9090']}", 4)
        print(f"{receiver.passed():5.0f} s  worker, timekeeper, projection and gateway are scraped", flush=True)
        await stranger(settings)
        print(f"{receiver.passed():5.0f} s  a stranger has written one record to tool-decisions", flush=True)
        await came(receiver.pages, ("EndocrineUnsealed", "firing"))
        await worker.end(signal.SIGKILL)
        print(f"{receiver.passed():5.0f} s  the worker is killed", flush=True)
        await came(receiver.pages, ("EndocrineNoUnits", "firing"), ("EndocrineProcessDown", "firing"))
        await worker.start()
        print(f"{receiver.passed():5.0f} s  it is started again", flush=True)
        await came(receiver.pages, ("EndocrineNoUnits", "resolved"), ("EndocrineProcessDown", "resolved"))
    unasked = sorted({*receiver.pages, *receiver.tickets} - EXPECTED)
    print(f"alerts: {'all came, and no other' if not unasked else f'FAILED: nothing gave cause to {unasked}'}")
    return 1 if unasked else 0


if __name__ == "__main__":
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        install = f"apt-get install --no-install-recommends {' '.join(NEEDED)}"
        sys.exit(f"error: {', '.join(missing)} not found (Debian: {install})")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="endocrine-alerts-") as name:
        for variable in [one for one in os.environ if one.startswith("ENDOCRINE_")]:
            del os.environ[variable]
        try:
            code = asyncio.run(main(Path(name)))
        except TimeoutError:
            print(f"alerts: FAILED: none came within {PATIENCE_S:.0f} s")
            for log in sorted(Path(name).glob("*.log")):
                print(log.name, last_lines(log), sep="\n")
            code = 1
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"CPU: {sum(one.ru_utime + one.ru_stime for one in used):.0f} s")
    sys.exit(code)
