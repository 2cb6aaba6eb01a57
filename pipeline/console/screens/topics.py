"""The catalogue of topics, and the records of one."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.reading import Wanted, read
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.data.export.columns import known
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import time_of

PAGE = 50
MOST_TEXT = 256
_OURS = ("ce_", "endocrine-", "traceparent", "content-type")
"""Names of headers that are shown without the scope `content`: what others write into theirs may be private."""


async def catalogue(console: Console, request: Request, visitor: Visitor) -> Response:
    """List the topics."""
    topics = [CATALOGUE[name] for name in sorted(CATALOGUE)]
    return console.page(request, visitor, "topics.html", title="Topics", topics=topics)


async def topic(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show records of a topic: the newest, or from an offset or a time on; with a key, or a text in the value."""
    name = request.path_params["topic"]
    if not known(name):
        raise Problem("not_found", "no such topic; the page of topics names those there are")
    query = {one: text for one, text in request.query_params.items() if text}
    partition, offset = _number(query, "partition"), _number(query, "offset")
    if offset is not None and partition is None:
        raise Problem("invalid", "offset: expected a partition with it", field="offset")
    contains = query.get("contains")
    if contains is not None and "content" not in visitor.caller.scopes:
        raise Problem("forbidden", f"the key {visitor.caller.name!r} lacks the scope content, to search in values")
    since = time_of(query, "since")
    wanted = Wanted(name, partition, offset, since, query.get("key"), contains, PAGE)
    found = await read(console.gateway.settings, wanted)
    records = [_shown(visitor, name, raw) for raw in found.records]
    after = None
    if offset is not None and partition is not None and found.records:
        last = found.records[-1].offset + 1
        after = last if last < found.bounds[partition][1] else None
    return console.page(
        request,
        visitor,
        "topic.html",
        title=f"Topic {name}",
        topic=name,
        entry=CATALOGUE.get(name),
        records=records if offset is not None or since is not None else records[::-1],
        bounds=sorted(found.bounds.items()),
        looked_at=found.looked_at,
        stopped=found.stopped,
        after=after,
        step=PAGE,
    )


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Problem("invalid", f"query {name}: expected a whole number", field=name)
    return int(text)


def _shown(visitor: Visitor, topic: str, raw: Any) -> dict[str, Any]:
    content = "content" in visitor.caller.scopes
    headers = [
        (name, "-" if one is None else one[:MOST_TEXT].decode("utf-8", "replace"))
        for name, one in raw.headers
        if content or name.lower().startswith(_OURS)
    ]
    return {
        "partition": raw.partition,
        "offset": raw.offset,
        "at": raw.timestamp / 1000,
        "key": "-" if raw.key is None else raw.key[:MOST_TEXT].decode("utf-8", "replace"),
        "headers": headers,
        "origin": _origin(dict(headers).get("endocrine-origin", "")),
        "bytes": None if raw.value is None else len(raw.value),
        "value": _value(visitor, topic, raw.value),
    }


def _value(visitor: Visitor, topic: str, content: bytes | None) -> str:
    if content is None:
        return "(no value: a tombstone)"
    whole = "content" in visitor.caller.scopes
    if holds_dead_letters(topic) and not whole:
        return "(shown to keys with the scope content)"
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content[:4096].decode("utf-8", "replace") if whole else "(not JSON)"
    shown = shown_to(visitor.caller, topic, value) if isinstance(value, dict) and topic in CATALOGUE else value
    if not isinstance(value, dict) and not whole:
        return "(shown to keys with the scope content)"
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def _origin(text: str) -> tuple[str, str, str] | None:
    """Topic, partition and offset of the record that a derived one comes from."""
    parts = text.split("/")
    return (parts[1], parts[2], parts[3]) if len(parts) == 5 and known(parts[1]) else None


PAGES = (Page("/topics", catalogue, menu="Topics"), Page("/topics/{topic}", topic))
