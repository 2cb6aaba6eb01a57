"""The property that this package guarantees: no result without an earlier allowed decision for its call.

For tests, the chaos run and whoever audits: over the records of the topics alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A record on its topic."""

    timestamp: int
    """The broker's append time, milliseconds."""
    value: Mapping[str, Any]


def unallowed_results(decisions: Iterable[Entry], results: Iterable[Entry]) -> list[str]:
    """Return what is wrong, one line each, naming turn and call; empty: the property holds.

    A result needs an allowed decision of its turn and call, about its tool and identity, appended no later than it.
    """
    allowed: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    for timestamp, value in decisions:
        if value["decision"] == "allowed":
            held = allowed.get(_of(value))
            if held is None or timestamp < held[0]:
                allowed[_of(value)] = (timestamp, value)
    wrong = []
    for timestamp, value in results:
        named = f"turn {value['audit_id']!r}, call {value['call_id']!r}"
        first = allowed.get(_of(value))
        if first is None:
            wrong.append(f"{named}: a result without an allowed decision")
        elif first[0] > timestamp:
            wrong.append(f"{named}: a result {first[0] - timestamp} ms before its allowed decision")
        elif (first[1]["tool"], first[1]["identity"]) != (value["tool"], value["identity"]):
            wrong.append(f"{named}: a result of {value['tool']!r} where {first[1]['tool']!r} was allowed")
    return wrong


def repeated_results(results: Iterable[Entry]) -> list[str]:
    """Return the calls with two results that differ, one line each; copies of one result are fine."""
    seen: dict[tuple[str, str], Mapping[str, Any]] = {}
    return [
        f"turn {value['audit_id']!r}, call {value['call_id']!r}: two results that differ"
        for _, value in results
        if seen.setdefault(_of(value), value) != value
    ]


def unanswered_calls(decisions: Iterable[Entry], results: Iterable[Entry]) -> list[str]:
    """Return allowed calls without a result, one line each. Where everything is at rest there must be none."""
    answered = {_of(value) for _, value in results}
    left = {_of(value): None for _, value in decisions if value["decision"] == "allowed" and _of(value) not in answered}
    return [f"turn {audit_id!r}, call {call_id!r}: allowed, and no result" for audit_id, call_id in left]


def _of(value: Mapping[str, Any]) -> tuple[str, str]:
    return value["audit_id"], value["call_id"]
