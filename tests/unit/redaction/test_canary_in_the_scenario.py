"""What people write (prompt, answer, note, argument) is in no header, and in no record but those that carry content.

The bundled scenario is run with a mark in every such place, and once more with every record damaged: the mark in place
of a number, a word or an object, under a name that no model has, and in text that is no JSON.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Derived, Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.process.policy_files import shipped_policy

MARK = "canary7f3a"
NAME = f"{MARK} in a sentence"
"""As the name of a field; a plain word there is named in the error, because it is most likely a field misspelled."""
CONTENT = ("prompt", "response", "note", "text", "content", "arguments", "output", "error", "reason", "query")
CARRY = {"model-requests", "tool-calls", "scheduled-tasks", "bonds", "bond-events", "captured"}
CARRY |= {"memories", "memory-events", "conflicts", "conflict-events"}
"""Topics whose values hold content, because somebody is to read it there; audits show arguments, shortened."""


def marked(value: Any, name: str = "") -> Any:
    """The value with the mark at the end of each text that people wrote."""
    if isinstance(value, dict):
        return {key: marked(part, name if name in CONTENT else key) for key, part in value.items()}
    if isinstance(value, list):
        return [marked(part, name) for part in value]
    return f"{value} {MARK}" if isinstance(value, str) and name in CONTENT else value


def damaged(line: dict[str, Any]) -> Iterator[bytes]:
    """The line with the mark where it must not be."""
    for name, right in line["value"].items():
        if (line["topic"], name) == ("observations", "value"):
            continue  # a measured value, shown as the state that comes of it
        for wrong in ([MARK], {NAME: MARK}, *(() if isinstance(right, str) else (MARK,))):
            broken = copy.deepcopy(line)
            broken["value"][name] = wrong
            broken["key"] = "mia"
            yield json.dumps(broken).encode()
    yield json.dumps({**line, "value": {**line["value"], NAME: MARK}, "key": "mia"}).encode()
    yield json.dumps({**line, "value": MARK, "key": "mia"}).encode()


@pytest.fixture(scope="module")
def derived() -> list[Derived]:
    simulation = Simulation(
        AGENTS, shipped_policy(), version="test", sizes=Sizes(1 << 20, 1 << 16, 1 << 22), partitions=4
    )
    found: list[Derived] = []
    for number, line in enumerate(scenario.lines()):
        content = {**line, "value": marked(line["value"])}
        found += simulation.feed(json.dumps(content).encode())
        if number % 7 == 0:
            for broken in damaged(content):
                found += simulation.feed(broken)
    return found


def test_no_header_holds_it(derived: list[Derived]) -> None:
    assert len([one for one in derived if one.dead]) > 100
    held = {
        (topic, name)
        for topic, _, _, headers in derived
        for name, content in headers.items()
        if MARK in (content or "")
    }
    assert held == set()


def test_no_record_holds_it_but_where_content_is_to_be_read(derived: list[Derived]) -> None:
    records = [(topic, value) for topic, _, value, _ in (one for one in derived if not one.dead)]
    assert {"modulations", "tool-decisions", "incidents", "audits", "style-tables"} <= {topic for topic, _ in records}
    holding = [(topic, value) for topic, value in records if MARK.encode() in (value or b"")]
    assert {topic for topic, _ in holding} <= CARRY | {"audits"}
    assert holding, "the marks came through nowhere: the test proves nothing"
    for bundle in (json.loads(value) for topic, value in holding if topic == "audits"):
        del bundle["tools"], bundle["blocked"]  # they show arguments, shortened and redacted
        assert MARK not in json.dumps(bundle)
