"""Processes that others wait for walk no old objects once they are ready."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from endocrine.pipeline.cli import connect
from endocrine.pipeline.connectors.model import main as model
from endocrine.pipeline.gateway import server
from endocrine.pipeline.process import malloc

_CODE = """
import gc
gc.set_threshold(50_000)
from endocrine.pipeline.process.malloc import keep_started
old = len(gc.get_objects())
keep_started()
print(gc.get_freeze_count() >= old, len(gc.get_objects()) < 100, gc.get_threshold())
"""


def test_what_is_alive_by_then_is_out_of_the_collectors_sight_and_young_objects_are_walked_often() -> None:
    found = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True True (700, 10, 10)"


def test_a_connector_keeps_what_it_started_with_before_it_is_ready(
    endocrine: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready, steps = tmp_path / "ready", list[bool]()
    monkeypatch.setattr(connect, "keep_started", lambda: steps.append(ready.exists()))

    def main(settings: Any, on_ready: Callable[[], None]) -> int:
        on_ready()
        return 0

    monkeypatch.setattr(model, "main", main)
    assert endocrine("connect", "model", "--ready-file", str(ready)).exit_code == 0
    assert (steps, ready.exists()) == ([False], True)


def test_a_gateway_keeps_what_it_started_with_before_it_is_ready(
    endocrine: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready, steps = tmp_path / "ready", list[bool]()
    monkeypatch.setattr(malloc, "keep_started", lambda: steps.append(ready.exists()))

    def main(settings: Any, limits: Any, on_ready: Callable[[str], None], more: Any) -> int:
        on_ready("http://127.0.0.1:1")
        return 0

    monkeypatch.setattr(server, "main", main)
    assert endocrine("gateway", "--ready-file", str(ready)).exit_code == 0
    assert (steps, ready.exists()) == ([False], True)
