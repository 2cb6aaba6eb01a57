"""A gateway and a worker on the broker of this run, shared by the tests of all files that need none of their own.

Every test has identities of its own. A file whose tests change what others see (policy, names, a Redis database), or
look into the gateway on its loop, has a `door` of its own, made of `module_settings`.
"""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from endocrine.pipeline.process.settings import Settings
from gateway_serving import Door, forget, served, stack
from on_a_thread import on_a_thread
from waiting import until_answer


def _settings(broker: Any, folder: Path) -> Settings:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    return Settings(
        bootstrap=broker.bootstrap,
        redis_url=broker.redis_url,
        redis_db=11,
        prefix=prefix,
        group=prefix + "group",
        data_dir=folder,
        partitions=2,
    )


@contextlib.asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[Door]:
    async with stack(settings), served(settings) as door:
        yield door
    await forget(settings)


@pytest.fixture(scope="session")
def door(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The gateway of this run, with a worker behind it. On a thread: the loops of the tests do not run in between."""
    with on_a_thread(_gateway(_settings(broker, tmp_path_factory.mktemp("gateway")))) as door:
        yield door


@pytest.fixture(scope="module")
def module_settings(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with topics, a group and a folder of this file alone, and a Redis database."""
    return _settings(broker, tmp_path_factory.mktemp("gateway"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own_door(module_settings: Settings) -> AsyncIterator[Door]:
    """The gateway of this file, on its loop, with a worker behind it."""
    async with _gateway(module_settings) as door:
        yield door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """Make a gateway without a worker: `async with alone(decision_s=1)`; fields of Settings may be named too."""
    async with stack(module_settings, worker=False):

        @contextlib.asynccontextmanager
        async def made(*, keys: bool = True, redis_url: str | None = None, **limits: Any) -> AsyncIterator[Door]:
            update: dict[str, Any] = {} if keys else {"data_dir": tmp_path_factory.mktemp("keyless")}
            update |= {} if redis_url is None else {"redis_url": redis_url}
            async with served(module_settings.model_copy(update=update), keys=keys, **limits) as door:
                yield door

        yield made
    await forget(module_settings)


@pytest.fixture
def who() -> str:
    """An identity of this test alone."""
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer satisfies; return it."""
    return until_answer


@pytest.fixture
def sse() -> Callable[[str], list[tuple[str, Any, str | None]]]:
    """(event, data, id) of the events in a text."""

    def parse(text: str) -> list[tuple[str, Any, str | None]]:
        found = []
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
            if "data" in fields:
                found.append((fields.get("event", "message"), json.loads(fields["data"]), fields.get("id")))
        return found

    return parse


@pytest.fixture(autouse=True)
def _patient_commands(monkeypatch):
    """Commands wait longer for their event than a person would: the machine of a test may be busy."""
    monkeypatch.setattr("endocrine.pipeline.cli.common.CONFIRM_S", 60.0)
