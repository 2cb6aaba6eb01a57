"""The bundled scenario: a finite story for the demo, and the same story round after round for a feed without end.

The data lies in config/scenario.jsonl, one `{"topic", "value"}` per line, told in docs/scenario.md.
"""

import itertools
from collections.abc import Iterator
from importlib import resources
from typing import Any

import orjson

ROUND_SECONDS = 2 * 86_400.0
"""Event time between the beginnings of two rounds; the story itself takes a little more than one day."""
CASTS = 16
"""After so many rounds the identities come back, so that a feed without end does not need memory without end."""
IDENTITIES = ("identity", "identity_ref")
IDS = ("id", "audit_id", "session_id", "call_id", "target_action_id", "evidence_ref")
TIMES = ("ts", "start_ts", "end_ts")


def lines() -> Iterator[dict[str, Any]]:
    """The scenario, line by line, in the order in which it is to be applied."""
    with resources.files("config").joinpath("scenario.jsonl").open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def repeat(rounds: int | None = None, start: int = 0) -> Iterator[dict[str, Any]]:
    """Rounds `start`, `start + 1`, ...: `rounds` of them, or without end.

    Round 0 is the scenario itself. Round n happens n times ROUND_SECONDS later; its ids end in `.rn`, its identities in
    `.c` and n modulo CASTS. The same round is the same lines, every time.
    """
    story = list(lines())
    numbers = itertools.count(start) if rounds is None else range(start, start + rounds)
    for number in numbers:
        for line in story:
            yield line | {"value": _shifted(line["value"], number)}


def _shifted(value: dict[str, Any], number: int) -> dict[str, Any]:
    shifted: dict[str, Any] = {}
    for name, item in value.items():
        if name in TIMES:
            shifted[name] = round(item + number * ROUND_SECONDS, 3)
        elif name in IDENTITIES and number % CASTS:
            shifted[name] = f"{item}.c{number % CASTS}"
        elif name in IDS and number:
            shifted[name] = f"{item}.r{number}"
        elif name == "window":
            shifted[name] = _shifted(item, number)
        else:
            shifted[name] = item
    return shifted
