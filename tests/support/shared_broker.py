"""The one Kafka and Valkey of a test run, shared by all its processes.

The first test that needs it starts a keeper, a process of its own that owns both. It ends them when the run ends,
however that happens: it watches the process of the run, and what it started ends with it.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.settings import environment

FOLDER = "ENDOCRINE_TEST_RUN"
"""Environment variable: the folder of this run."""
OWNER = "ENDOCRINE_TEST_OWNER"
"""Environment variable: the process of this run; when it is gone, so is the broker."""
SECURED = "ENDOCRINE_TEST_SECURED"
"""Environment variable: whether it is a Kafka with TLS, SASL and an authorizer (tests/support/secured_suite.py)."""
PRINCIPAL = "suite"
"""User of what is tested on such a Kafka."""
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 << 30
"""Free bytes below which memory is not used: a whole run takes less than one GiB."""
_WATCH_S = 0.5
_START_S = 300.0
"""Seconds; the first time on a machine the jars are fetched."""


class Addresses(NamedTuple):
    """Where they are."""

    bootstrap: str
    redis_url: str
    operator: str
    """Kafka for who may do everything: the same, where it is not secured."""
    environment: dict[str, str]
    """Settings of security, for what is tested."""


def make_folder() -> Path:
    """Make the folder of a run: in memory where the machine has room for it, else where temporary files are.

    A broker makes thousands of partitions in a run, and syncs several files of each: on a disk, most of the time.
    """
    try:
        roomy = shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES and os.access(_MEMORY, os.W_OK)
    except OSError:
        roomy = False
    return Path(tempfile.mkdtemp(prefix="endocrine-tests-", dir=_MEMORY if roomy else None))


def addresses() -> Addresses:
    """Those of this run's broker, started if nobody did yet. Raises RuntimeError when it does not start."""
    folder = Path(os.environ[FOLDER])
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = folder / "addresses.json"
        if not found.exists():
            _start_keeper(folder, found)
        addresses = Addresses(**json.loads(found.read_text()))
    os.environ.update(addresses.environment)
    return addresses


def known() -> Addresses | None:
    """Return those of this run's broker, None where nobody asked for it yet."""
    found = Path(os.environ[FOLDER]) / "addresses.json"
    return Addresses(**json.loads(found.read_text())) if found.exists() else None


def without_security(bootstrap: str) -> str:
    """Return where a program that gives no security finds this broker: the operator's listener, where it is secured."""
    found = known()
    return found.operator if found is not None and bootstrap == found.bootstrap else bootstrap


def end(folder: Path) -> None:
    """End the broker of the run of this folder, and wait for it."""
    try:
        pid = int((folder / "keeper").read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    while (folder / "keeper").exists() and _lives(pid):
        time.sleep(_WATCH_S / 10)


def _start_keeper(folder: Path, found: Path) -> None:
    log = folder / "keeper.log"
    with log.open("ab") as out:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_S
    while not found.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the broker of the tests did not start:\n{log.read_text()[-4000:]}")
        time.sleep(_WATCH_S / 10)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _keep(folder: Path, owner: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    (folder / "keeper").write_text(str(os.getpid()))
    try:
        await prepared(lambda doing: _Silent())
        valkey = ValkeyServer(folder / "valkey")
        async with _kafka(folder) as (bootstrap, operator, environment):
            await valkey.start()
            try:
                part = folder / "addresses.part"
                part.write_text(json.dumps(Addresses(bootstrap, valkey.url, operator, environment)._asdict()))
                part.replace(folder / "addresses.json")
                while not stop.is_set() and _lives(owner):
                    try:
                        await asyncio.wait_for(stop.wait(), _WATCH_S)
                    except TimeoutError:
                        continue
            finally:
                await valkey.stop()
    finally:
        (folder / "keeper").unlink(missing_ok=True)
        if not _lives(owner):
            shutil.rmtree(folder, ignore_errors=True)  # nobody else is left to do it


@asynccontextmanager
async def _kafka(folder: Path) -> AsyncIterator[tuple[str, str, dict[str, str]]]:
    """Kafka: for what is tested, for who may do everything, and settings of security."""
    if not os.environ.get(SECURED):
        async with KafkaNode(folder / "kafka", properties=PATIENT) as node:
            yield node.bootstrap, node.bootstrap, {}
        return
    from secured_broker import SecuredBroker

    (folder / "secured").mkdir()
    async with SecuredBroker(folder / "secured", [PRINCIPAL]) as broker:
        given = environment(broker.settings(PRINCIPAL))
        security = {name: value for name, value in given.items() if name.startswith("ENDOCRINE_KAFKA_")}
        yield f"127.0.0.1:{broker.sasl}", broker.node.bootstrap, security


class _Silent:
    def __enter__(self):
        return lambda done, total: None

    def __exit__(self, *_):
        return None


if __name__ == "__main__":
    asyncio.run(_keep(Path(sys.argv[1]), int(os.environ[OWNER])))
