"""Moving memories from an older store in phases (rules 8): what is sent, and where the two stores drift apart. Pure.

An export of the older store is JSON lines: `id`, `subject`, `type`, `content`, `status`, `confidence`, `version`,
`created_ts`, and `slot`, `strength` where it has them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from endocrine.agents._shared.memories import named_after
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode

Json = dict[str, Any]
Phase = Literal["dual", "cut_over"]
COMPARED = ("type", "content", "slot", "status", "confidence")
"""Fields in which two forms of one memory drift."""
_FIELDS = ("type", "content", "slot", "status", "confidence", "strength", "version", "created_ts")


class BadLine(Exception):
    """A line of an export that is not a memory; the message names the field, never the content."""


def old_id(store: str, subject: str, origin: str) -> str:
    """Return the id here of a memory of an older store: the same for every import of it."""
    return named_after("m", subject, f"{store}/{origin}", 0)


def command_of(line: bytes, store: str, by: str, ts: float, most_bytes: int, resolve: Callable[[str], str]) -> Json:
    """Return the `memory_import` of a line of an export.

    Its id follows from all of it: a line that is sent later is another command, which the memory's version judges.

    ts: event time, seconds. resolve: a subject to the registered one; raises ValueError. Raises BadLine.
    """
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadLine("not JSON; expected one object a line") from None
    if not isinstance(given, dict) or unknown(given):
        raise BadLine(f"expected an object with the fields id, subject, {', '.join(_FIELDS)}")
    subject, origin = given.get("subject"), given.get("id")
    if not isinstance(subject, str) or not isinstance(origin, str) or not subject or not origin:
        raise BadLine("id, subject: expected texts")
    try:
        subject = resolve(subject)
    except ValueError as error:
        raise BadLine(f"subject: {error}") from None
    value = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    if isinstance(value.get("content"), str):
        value["content"] = value["content"].strip()
    command = {
        "kind": "memory_import",
        "identity": subject,
        "memory_id": old_id(store, subject, origin),
        **value,
        "store": store,
        "origin": origin,
        "by": by,
        "ts": ts,
    }
    named = named_after(
        "m", subject, store, orjson.dumps([value, ts, by], option=orjson.OPT_SORT_KEYS).decode(), origin
    )
    command["id"] = f"import-{named}"
    try:
        decode(CATALOGUE["commands"], orjson.dumps(command), most_bytes)
    except Malformed as malformed:
        raise BadLine(str(malformed)) from None
    return command


def unknown(given: Mapping[str, Any]) -> set[str]:
    """Return the fields of a line that are not known."""
    return set(given) - {"id", "subject", *_FIELDS}


class Drift(NamedTuple):
    """One memory that is not the same in both stores."""

    subject: str
    memory_id: str
    origin: str
    kind: Literal["missing", "older_here", "newer_here", "differs"]
    fields: list[str]
    """Names of those that differ, never their values."""


def drift_of(command: Json, here: Json | None) -> Drift | None:
    """Return how a memory here differs from what its import would make of it; None where it does not."""
    about = (command["identity"], command["memory_id"], command["origin"])
    if here is None:
        return Drift(*about, "missing", [])
    fields = [name for name in COMPARED if here[name] != command.get(name)]
    if not fields:
        return None
    if here["version"] == command["version"]:
        return Drift(*about, "differs", fields)
    return Drift(*about, "older_here" if here["version"] < command["version"] else "newer_here", fields)


def report_of(drifts: Iterable[Drift], compared: int) -> Json:
    """Return the drift report."""
    found = list(drifts)
    return {"compared": compared, "drifted": len(found), "kinds": dict(Counter(one.kind for one in found)),
            "items": [one._asdict() for one in found]}  # fmt: skip


def line_back(memory: Json, origin: str) -> Json:
    """Return a memory as a line for the older store: what a roll back takes there."""
    return {"id": origin, "subject": memory["subject"], **{name: memory[name] for name in _FIELDS}}
