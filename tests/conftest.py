"""What holds for all tests."""

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import properties
import shared_broker

properties.register()


def pytest_configure(config: pytest.Config) -> None:
    """The process of the run makes the folder that all its processes share."""
    gc.set_threshold(50_000)  # imports make a million objects that all stay: at the usual 700 a third of their time
    if not hasattr(config, "workerinput"):
        # Commands that tests start as processes of their own would compile the whole package each time.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        os.environ[shared_broker.FOLDER] = str(shared_broker.make_folder())
        os.environ[shared_broker.OWNER] = str(os.getpid())


def pytest_collection_finish(session: pytest.Session) -> None:
    """All test modules are imported: the garbage collector need not walk through them again, as it would in each of
    a thousand tests that collect."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the broker, if a test started it."""
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ[shared_broker.FOLDER])
        shared_broker.end(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process sets up logs, and later tests capture them."""
    configure = structlog.configure

    def uncached(**given: Any) -> None:
        configure(**given | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    structlog.reset_defaults()
