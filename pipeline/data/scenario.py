"""The bundled scenario: a finite story for the demo, and the same story round after round for a feed without end.

The data lies in config/scenario.jsonl, one `{"topic", "value"}` per line, described in docs/scenario.md.
"""

import itertools
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import orjson

from endocrine.agents._shared.memories import memory_id, named_after

ROUND_SECONDS = 2 * 86_400.0
"""Event time between the beginnings of two rounds; the story itself takes a little more than one day."""
CASTS = 16
"""After so many rounds the identities come back, so that a feed without end does not need memory without end."""
IDENTITIES = ("identity", "identity_ref")
IDS = ("id", "audit_id", "session_id", "call_id", "target_action_id", "evidence_ref")
TIMES = ("ts", "start_ts", "end_ts", "effective_from")
NAMES = ("name", "registered_id")
"""Of a command of the registry: names of the cast."""
DERIVED = ("conflict_id", "winner", "memories_used", "context_used", "context_pack")
"""Fields that hold ids of memories and conflicts, which follow from those of the commands that made them."""


def lines() -> Iterator[dict[str, Any]]:
    """Yield the scenario, line by line, in the order in which it is to be applied."""
    with resources.files("endocrine.config").joinpath("scenario.jsonl").open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def repeat(rounds: int | None = None, start: int = 0) -> Iterator[dict[str, Any]]:
    """Yield rounds `start`, `start + 1`, ...: `rounds` of them, or without end.

    Round 0 is the scenario itself. Round n happens n times ROUND_SECONDS later; its ids end in `.rn`, its identities
    and projects in `.c` and n modulo CASTS. The same round is the same lines, every time.
    """
    story = list(lines())
    numbers = itertools.count(start) if rounds is None else range(start, start + rounds)
    for number in numbers:
        shifted = [line | {"value": _shifted(line["value"], number)} for line in story]
        ids = dict(zip(_made_by(story), _made_by(shifted), strict=True))
        for line in shifted:
            found = {name: _renamed(line["value"][name], ids) for name in DERIVED if name in line["value"]}
            yield line | {"value": line["value"] | found}


def _made_by(story: list[dict[str, Any]]) -> list[str]:
    """The ids of the memories that a story's commands make, and of the conflicts that each would open on its slot."""
    found = []
    for value in (line["value"] for line in story if line["value"].get("kind") == "memory_create"):
        found.append(memory_id(value["identity"], value["id"]))
        if "slot" in value:
            # A conflict is named after the record that opened it: the first output of the agent `memory`.
            found.append(named_after("c", value["identity"], value["slot"], f"memory/{value['id']}/0"))
    return found


def _renamed(item: Any, ids: dict[str, str]) -> Any:
    """The same with other ids, also within texts."""
    if isinstance(item, dict):
        return {name: _renamed(part, ids) for name, part in item.items()}
    if isinstance(item, list):
        return [_renamed(part, ids) for part in item]
    for before, after in ids.items():
        item = item.replace(before, after)
    return item


def round_of(identifier: str) -> int | None:
    """Return the round that an id of the scenario belongs to, from 0; None for an id that is not of the scenario.

    >>> round_of("ann-turn-1.r2"), round_of("ann-turn-1"), round_of("mine.r2")
    (2, 0, None)
    """
    name, separator, number = identifier.rpartition(".r")
    if separator and number.isascii() and number.isdigit() and name in _ids():
        return int(number)
    return 0 if identifier in _ids() else None


@cache
def _ids() -> frozenset[str]:
    """The ids of round 0."""
    return frozenset(str(line["value"][name]) for line in lines() for name in IDS if line["value"].get(name))


def live(line: dict[str, Any], number: int, began: float) -> dict[str, Any]:
    """Return a line of round `number` with its times moved: as it is fed in a round that begins at `began` (since
    1970).

    A broker's workers believe no time that lies ahead, and no old call (rules, section 10). The story takes two minutes
    and ends when the feed begins, so that what is decided does not depend on the feed's pace; for those who have a
    morning one day later, the day before is moved into the past. `timestamp` is the append time that `simulate` then
    goes by, so that both decide alike.
    """
    last, day, theirs = _days()
    value = line["value"]
    name = next(value[field] for field in IDENTITIES if field in value)
    shift = began - last - number * ROUND_SECONDS - (day if name.partition(".c")[0] in theirs else 0.0)
    return line | {"value": _moved(value, shift), "timestamp": began}


@cache
def _days() -> tuple[float, float, frozenset[str]]:
    """When the story ends, the night left out, how long that is (seconds), and who is in it the next morning."""
    story = list(lines())
    times = [line["value"]["ts"] for line in story]
    morning = max(range(1, len(times)), key=lambda n: times[n] - times[n - 1])
    rest = (line["value"] for line in story[morning:])
    theirs = frozenset(next(value[field] for field in IDENTITIES if field in value) for value in rest)
    night = times[morning] - times[morning - 1]
    return max(times[morning - 1], times[-1] - night), night, theirs


def _moved(value: dict[str, Any], shift: float) -> dict[str, Any]:
    """The value with its times `shift` seconds later."""
    return {
        name: round(item + shift, 3) if name in TIMES else _moved(item, shift) if name == "window" else item
        for name, item in value.items()
    }


def _shifted(value: dict[str, Any], number: int) -> dict[str, Any]:
    shifted: dict[str, Any] = {}
    registering = value.get("kind") == "register_name"
    for name, item in value.items():
        cast = name in IDENTITIES or name == "project" or (registering and name in NAMES)
        if name in TIMES:
            shifted[name] = round(item + number * ROUND_SECONDS, 3)
        elif cast and number % CASTS and not item.startswith("$"):
            shifted[name] = f"{item}.c{number % CASTS}"
        elif name in IDS and number:
            shifted[name] = f"{item}.r{number}"
        elif name == "window":
            shifted[name] = _shifted(item, number)
        else:
            shifted[name] = item
    return shifted
