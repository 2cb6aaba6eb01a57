"""Facts that the other world would not have, or would lack: named, never invented.

- `result_left_out`: the call was executed, and in the other world it is not allowed: its result is not applied there.
- `result_missing`: the other world allows a call that was never executed: its result is unknown.
- `said_after`: what the model or the person wrote after an answer that would have been otherwise. It is applied in both
  worlds as it was recorded, and might not have been written.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.pipeline.replay.difference import json_differences
from endocrine.pipeline.replay.history import Outside

KEPT = 10_000
LEFT_OUT, MISSING, SAID_AFTER = "result_left_out", "result_missing", "said_after"
ValuesByKey = Mapping[tuple[str, str], Mapping[str, Any]]


class Unknowns:
    """Follows where decisions of the two worlds part."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        """At most 10,000: kind, topic, and what names the record."""
        self._ours: dict[str, Mapping[str, Any]] = {}
        """Latest decisions by call, of calls on which the worlds do not agree; in the other world: `_theirs`."""
        self._theirs: dict[str, Mapping[str, Any]] = {}
        self._turns: set[str] = set()
        """Turns that went otherwise."""
        self._results: set[str] = set()
        """Calls not agreed on that have a result all the same."""

    def judge(self, record: Outside) -> bool:
        """Return whether a record of an outsider belongs to the other world too."""
        if record.topic not in ("tool-results", "tool-calls", "model-replies", "interactions", "feedback"):
            return True
        try:
            value = orjson.loads(record.raw.value or b"")
        except orjson.JSONDecodeError:
            return True
        if not isinstance(value, dict):
            return True
        call = value.get("call_id")
        if record.topic == "tool-results" and isinstance(call, str) and call in self._ours.keys() | self._theirs.keys():
            if _allowed(self._ours.get(call)) and not _allowed(self._theirs.get(call)):
                self._note(LEFT_OUT, record, value)
                return False
            self._results.add(call)
        turn = value.get("target_action_id" if record.topic == "feedback" else "audit_id")
        if isinstance(turn, str) and turn in self._turns and value.get("kind") != "opened":
            self._note(SAID_AFTER, record, value)
        return True

    def hear(self, ours: ValuesByKey, theirs: ValuesByKey) -> None:
        """Take in the outputs of the two worlds for one record."""
        decided: set[str] = set()
        for produced, latest in ((ours, self._ours), (theirs, self._theirs)):
            for (topic, _), value in produced.items():
                if (
                    topic == "tool-decisions" and value.get("reason") != "conflicting_call"
                ):  # that is about another call
                    latest[value["call_id"]] = value
                    decided.add(value["call_id"])
        for call in decided:
            mine, other = self._ours.get(call), self._theirs.get(call)
            if mine is not None and other is not None and _verdict(mine) == _verdict(other):
                del self._ours[call], self._theirs[call]
            else:
                self._turns.add((mine or other or {}).get("audit_id", ""))
        for place in ours.keys() | theirs.keys():
            if place[0] == "modulations":
                mine, other = ours.get(place, {}), theirs.get(place, {})
                if any(one["path"] != "$.policy" for one in json_differences(mine, other)):
                    self._turns.add((mine or other).get("audit_id", ""))

    def close(self) -> None:
        """End: list the calls whose results nobody knows."""
        for call, theirs in self._theirs.items():
            if _allowed(theirs) and not _allowed(self._ours.get(call)) and call not in self._results:
                self._add(MISSING, {"topic": "tool-results", **_names(theirs)})

    def _note(self, kind: str, record: Outside, value: Mapping[str, Any]) -> None:
        raw = record.raw
        place = {"partition": raw.partition, "offset": raw.offset}
        self._add(kind, {"topic": record.topic, **place, **_names(value)})

    def _add(self, kind: str, about: dict[str, Any]) -> None:
        self.counts[kind] += 1
        if len(self.examples) < KEPT:
            self.examples.append({"kind": kind, **about})


def _verdict(decision: Mapping[str, Any]) -> tuple[Any, ...]:
    return decision["decision"], decision["reason"]


def _allowed(decision: Mapping[str, Any] | None) -> bool:
    return decision is not None and decision["decision"] == "allowed"


def _names(value: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value[name] for name in ("identity", "audit_id", "call_id", "target_action_id") if name in value}
    return {name: content for name, content in found.items() if isinstance(content, str)}
