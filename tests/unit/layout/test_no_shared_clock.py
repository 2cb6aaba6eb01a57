"""No test changes the clock of the whole process: a worker may run on another thread of it, for the tests that share
one (`tests/contract/gateway/conftest.py`), and would sleep for hours, or take all its deadlines for over."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
OF_THE_PROCESS = re.compile(
    r"""setattr\(\s*(?:["'](?:[\w.]+\.)?time\.\w+["']|(?:[\w.]+\.)?time,\s*["']\w+["'])|patch\(\s*["'](?:[\w.]+\.)?time\.\w+["']"""
)
"""A function of the module `time` is replaced, by whatever path it is reached. To replace the name `time` of one module
is fine."""


def test_no_test_changes_the_clock_of_the_whole_process() -> None:
    found = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if path != Path(__file__) and "node_modules" not in path.parts
        if OF_THE_PROCESS.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("statement", "of_the_process"),
    [
        ('monkeypatch.setattr("time.time", lambda: 7.25)', True),
        ('monkeypatch.setattr("endocrine.views.health.time.monotonic", lambda: 1.0)', True),
        ('monkeypatch.setattr(common.time, "monotonic", lambda: 1.0)', True),
        ('monkeypatch.setattr(time, "time", lambda: 1.0)', True),
        ('mock.patch("time.time")', True),
        ('monkeypatch.setattr(common, "time", SimpleNamespace(monotonic=lambda: 1.0))', False),
        ('monkeypatch.setattr("endocrine.views.health.time", SimpleNamespace())', False),
    ],
)
def test_what_counts(statement: str, of_the_process: bool) -> None:
    assert bool(OF_THE_PROCESS.search(statement)) is of_the_process
