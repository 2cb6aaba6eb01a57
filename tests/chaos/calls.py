"""The tool calls of a run: what the connector works with, and what must hold of the calls afterwards.

Two of the tools are a service of ours (tests/support/tooling.py) that notes each call it is asked to run.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from endocrine.pipeline.connectors.contract import INTERRUPTED
from endocrine.pipeline.connectors.tools.check import Entry, unallowed_results, unanswered_calls
from endocrine.pipeline.connectors.tools.effect import ToolEffect
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.records import SEAL
from endocrine.pipeline.replay.logs import Logs
from endocrine.pipeline.replay.recorded_seals import RECORDED

SERVICE_S = 0.4
"""Seconds that a call of the service takes."""
ONCE = "probe"
"""The tool of the service that is not idempotent (policy.yaml)."""
POLICY = Path(__file__).parent / "policy.yaml"
KINDS = ("not allowed", "results differ", "run twice", "unanswered")
_CORPUS = {
    "rivers.md": "# Rivers\n\nA river carries what it is given, and keeps its bed.\n",
    "tides.txt": "The tide follows the moon, twice a day.\n",
}
_FED = "in-"
"""Beginning of the ids that fed records carry in their value (tests/support/histories.py); a connector's have none."""
_SOURCE = f"endocrine/{ToolEffect.name}".encode()
Call = tuple[str, str]
"""audit_id, call_id."""


def equipment(folder: Path, service: str) -> dict[str, str]:
    """The connector's environment; the folder that retrieval searches is made. Nothing of it reaches the world.

    service: address of what runs the connector name `probe`.
    """
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, text in _CORPUS.items():
        (corpus / name).write_text(text)
    return {
        "ENDOCRINE_TOOL_CORPUS": str(corpus),
        "ENDOCRINE_TOOL_CALLS": "all",
        "ENDOCRINE_TOOL_CONNECTORS": orjson.dumps({"probe": service}).decode(),
    }


class Results(NamedTuple):
    """The records of `tool-results`."""

    ours: list[tuple[Entry, Any]]
    """Those that nobody fed, with the record."""
    fed: int
    """Invented by the feeder, copies included: good ones by their ids, the others because no agent takes them."""
    wrong: list[str]
    """The connector's that no agent takes."""


def check(logs: Logs, asked: Sequence[str], max_record_bytes: int) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Figures, and findings by kind, from the topics and from what the service was asked (call ids, in order).

    Raises RuntimeError when there was nothing to check.
    """
    decisions = [
        Entry(raw.timestamp, orjson.loads(raw.value))
        for raw in _records(logs, "tool-decisions")
        if dict(raw.headers).get(SEAL) == RECORDED  # the others are the stranger's
    ]
    results = _results(logs, max_record_bytes)
    entries = [entry for entry, _ in results.ours]
    allowed = {_call(entry.value): entry.value["tool"] for entry in decisions if entry.value["decision"] == "allowed"}
    named = {call_id: tool for (_, call_id), tool in allowed.items()}  # the feeder gives each call an id of its own
    by_call: dict[Call, set[Any]] = defaultdict(set)
    for entry, raw in results.ours:
        by_call[_call(entry.value)].add(_bytes(raw))
    tasks: dict[Call, set[Any]] = defaultdict(set)
    for raw in _records(logs, "scheduled-tasks"):
        tasks[_call(orjson.loads(raw.value))].add(_bytes(raw))
    runs = Counter(asked)
    findings = {
        "not allowed": [
            *results.wrong,
            *unallowed_results(decisions, entries),
            *(f"{_named(call)}: a task without an allowed decision" for call in tasks if call not in allowed),
            *(f"call {call_id!r} was run without an allowed decision" for call_id in runs if call_id not in named),
        ],
        "results differ": [
            f"{_named(call)}: {len(forms)} {what} that differ"
            for what, all_of in (("results", by_call), ("tasks", tasks))
            for call, forms in all_of.items()
            if len(forms) > 1
        ],
        "run twice": [
            f"call {call_id!r} of {ONCE} was run {count} times"
            for call_id, count in runs.items()
            if count > 1 and named.get(call_id) == ONCE
        ],
        "unanswered": unanswered_calls(decisions, entries),
    }
    first = {_call(entry.value): entry.value for entry in reversed(entries)}
    statuses = Counter(value["status"] for value in first.values())
    errors = [value["output"]["error"] for value in first.values() if value["status"] == "error"]
    figures = {
        "calls_allowed": len(allowed),
        "answered": len(first),
        "by_status": dict(sorted(statuses.items())),
        "tasks": len(tasks),
        "run_by_service": len(runs),
        "run_again": sum(runs.values()) - len(runs),
        "interrupted": errors.count(INTERRUPTED),
        "too_late": sum("more than" in error for error in errors),
        "copies_of_results": len(entries) - sum(map(len, by_call.values())),
        "fed_results_left_out": results.fed,
    }
    if not (statuses["ok"] and tasks and runs):
        raise RuntimeError(f"the connector had nothing to do: {figures}; give more inputs")
    return figures, findings


def _results(logs: Logs, max_record_bytes: int) -> Results:
    topic, ours, wrong, fed = CATALOGUE["tool-results"], [], [], 0
    for raw in _records(logs, topic.name):
        by_connector = dict(raw.headers or ()).get("ce_source") == _SOURCE
        try:
            decode(topic, raw.value, max_record_bytes)
        except Malformed as error:
            if by_connector:
                wrong.append(f"{topic.name}/{raw.partition} at offset {raw.offset}: {error}")
            else:
                fed += 1
            continue
        value = orjson.loads(raw.value)
        if not by_connector and str(value.get("id", "")).startswith(_FED):
            fed += 1
        else:
            ours.append((Entry(raw.timestamp, value), raw))
    return Results(ours, fed, wrong)


def _records(logs: Logs, topic: str) -> Sequence[Any]:
    return [raw for (name, _), log in logs.items() if name == topic for raw in log]


def _bytes(raw: Any) -> Any:
    return raw.key, raw.value, tuple(raw.headers)


def _call(value: Mapping[str, Any]) -> Call:
    return value["audit_id"], value["call_id"]


def _named(call: Call) -> str:
    return f"turn {call[0]!r}, call {call[1]!r}"
