"""A record as a page shows it: decoded, without what its reader may not see, with links to what shaped it."""

from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CUT, ORIGIN, REKEYED_FROM
from endocrine.pipeline.data.export.columns import known
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to

MOST_TEXT = 256
MOST_RAW = 4096
"""Bytes of a value that is no JSON."""
HIDDEN = "(shown to keys with the scope content)"
CUT_SLACK_S = 10.0
"""Seconds before a record in which the journal's record of its batch may lie: copies are produced again later."""
MOST_RUNS = 200
_BYTES = {"images": "data"}
"""Topic to the field that holds bytes."""
_OURS = ("ce_", "endocrine-", "traceparent", "content-type")
"""Names of headers that are shown without the scope `content`: what others write into theirs may be private."""


class Link(NamedTuple):
    """A link to records. query: of the topic's page."""

    text: str
    topic: str
    query: dict[str, str]


class ShownRecord(NamedTuple):
    """One record."""

    topic: str
    partition: int
    offset: int
    at: float
    """Append time, seconds since 1970."""
    key: str | None
    headers: list[tuple[str, str]]
    value: Any
    """Of JSON, as its reader may see it; a string that says why there is none, in the other cases."""
    is_json: bool
    links: list[Link]

    @property
    def text(self) -> str:
        """The value as it is shown."""
        return orjson.dumps(self.value, option=orjson.OPT_INDENT_2).decode() if self.is_json else str(self.value)

    @property
    def context(self) -> dict[str, Any]:
        """What an expression may name."""
        return {
            "key": self.key,
            "value": self.value if self.is_json else None,
            "headers": dict(self.headers),
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.at,
        }


def shown_record(caller: Caller, topic: str, raw: Any) -> ShownRecord:
    """Return a record of a topic (without prefix) as a caller may see it."""
    content = "content" in caller.scopes
    headers = [
        (name, "-" if one is None else one[:MOST_TEXT].decode("utf-8", "replace"))
        for name, one in raw.headers
        if content or name.lower().startswith(_OURS)
    ]
    key = None if raw.key is None else raw.key[:MOST_TEXT].decode("utf-8", "replace")
    value, is_json = _value(caller, topic, raw.value)
    at = raw.timestamp / 1000
    links = links_of(dict(headers), at) + (_runs(value) if topic == "journal" and is_json else [])
    return ShownRecord(topic, raw.partition, raw.offset, at, key, headers, value, is_json, links)


def _value(caller: Caller, topic: str, content: bytes | None) -> tuple[Any, bool]:
    if content is None:
        return "(no value: a tombstone)", False
    if not content:
        return "(an empty value)", False
    whole = "content" in caller.scopes
    if holds_dead_letters(topic) and not whole:
        return HIDDEN, False
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return (content[:MOST_RAW].decode("utf-8", "replace") if whole else "(not JSON)"), False
    if isinstance(value, dict):
        shown = shown_to(caller, topic, value) if topic in CATALOGUE else value
        return {name: _counted(part) if name == _BYTES.get(topic) else part for name, part in shown.items()}, True
    return (value, True) if whole else (HIDDEN, False)


def _counted(data: Any) -> str:
    """What is shown of bytes: a page of them would be megabytes that nobody reads."""
    return f"({len(data) if isinstance(data, str) else 0} characters of base64)"


def links_of(headers: dict[str, str], at: float) -> list[Link]:
    """Return links from a derived record to the record that caused it, and to what its batch read before it.

    at: append time, seconds since 1970.
    """
    found = []
    parts = headers.get(ORIGIN, "").split("/")
    if len(parts) == 5 and _is_place(*parts[1:4]):
        found.append(Link(f"caused by {'/'.join(parts[1:4])}", parts[1], {"partition": parts[2], "offset": parts[3]}))
    parts = headers.get(REKEYED_FROM, "").rsplit("/", 2)
    if len(parts) == 3 and _is_place(*parts):
        found.append(Link(f"moved from {'/'.join(parts)}", parts[0], {"partition": parts[1], "offset": parts[2]}))
    parts = headers.get(CUT, "").rsplit("/", 2)
    if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
        query = {"partition": parts[1], "key": f"{parts[0]}/{parts[1]}", "field": "batch", "equals": parts[2],
                 "since": f"{max(0.0, at - CUT_SLACK_S):.3f}"}  # fmt: skip
        found.append(Link(f"decided in batch {'/'.join(parts)}", "journal", query))
    return found


def _is_place(topic: str, partition: str, offset: str) -> bool:
    return known(topic) and partition.isdecimal() and offset.isdecimal()


def _runs(value: Any) -> list[Link]:
    """Links to what a batch read, in its order."""
    found = []
    partition, runs = value.get("partition"), value.get("runs")
    if isinstance(partition, int) and isinstance(runs, list):
        for run in runs[:MOST_RUNS]:
            match run:
                case [str(topic), int(first), int(count)] if known(topic) and count > 0:
                    text = f"read {topic}/{partition}/{first}" + (f" to {first + count - 1}" if count > 1 else "")
                    found.append(Link(text, topic, {"partition": str(partition), "offset": str(first)}))
    return found


def elsewhere(template: str, topic: str, record: ShownRecord) -> str:
    """Return the address of a record in another topic browser. topic: as the broker names it.

    >>> record = ShownRecord("audits", 3, 17, 0.0, None, [], None, True, [])
    >>> elsewhere("https://akhq/ui/c/topic/{topic}/data?single=true&partition={partition}&offset={offset}", "e.audits",
    ...           record)
    'https://akhq/ui/c/topic/e.audits/data?single=true&partition=3&offset=17'
    """
    named = {"{topic}": quote(topic, safe=""), "{partition}": str(record.partition), "{offset}": str(record.offset)}
    for name, value in named.items():
        template = template.replace(name, value)
    return template
