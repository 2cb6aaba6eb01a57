"""The event loop of the gateway and of the connectors."""

import asyncio
import sys

import pytest

from endocrine.pipeline.process.event_loop import run


async def loops_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_who_waits_for_many_things_at_once_does_so_on_the_fast_loop():
    assert run(loops_module()).partition(".")[0] == "uvloop"


def test_where_there_is_none_asyncios_own_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(loops_module()).partition(".")[0] == "asyncio"
