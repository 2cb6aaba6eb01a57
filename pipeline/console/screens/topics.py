"""The catalogue of topics, and the records of one."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.browsing.example import example_of
from endocrine.pipeline.console.browsing.filters import filter_of
from endocrine.pipeline.console.browsing.positions import positions_text
from endocrine.pipeline.console.browsing.query import FILTERS, Browse, browse_of
from endocrine.pipeline.console.browsing.scan import Bounds, Found, scan
from endocrine.pipeline.console.browsing.shown import ShownRecord, elsewhere, shown_record
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.core.catalogue import CATALOGUE, DAY_MS
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.data.asyncapi.json_schemas import json_schema
from endocrine.pipeline.data.export.columns import fields_of, known
from endocrine.pipeline.gateway.problems import Problem

BOUNDS = Bounds()


async def catalogue(console: Console, request: Request, visitor: Visitor) -> Response:
    """List the topics."""
    topics = [CATALOGUE[name] for name in sorted(CATALOGUE)]
    return console.page(request, visitor, "topics.html", title="Topics", topics=topics)


async def topic(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show what a topic is for, and records of it: the newest, or from an offset or a time on, by filters."""
    query = dict(request.query_params)
    found, records, problem, unanswered = None, [], "", ""
    try:
        browse = wanted(visitor, request.path_params["topic"], query)
        async with filter_of(visitor.caller, browse) as meant:
            found = await scan(console.gateway.settings, browse, meant.kept, BOUNDS)
            if meant.expression is not None and meant.expression.failed:
                unanswered = f"{meant.expression.failed} records gave no answer: {meant.expression.reason}"
    except Problem as one:
        if one.status != 422:
            raise
        problem, browse = one.detail, Browse(request.path_params["topic"])
    newest_first = not browse.begins
    records = [shown_record(visitor.caller, browse.topic, raw) for raw in (found.records if found else ())]
    name = browse.topic
    return console.page(
        request,
        visitor,
        "topic.html",
        title=f"Topic {name}",
        topic=name,
        entry=CATALOGUE.get(source_of(name)),
        dead=holds_dead_letters(name),
        **_described(console, name),
        records=[(one, address_of(console, one)) for one in (reversed(records) if newest_first else records)],
        found=found,
        problem=problem,
        unanswered=unanswered,
        pages=_pages(found, newest_first),
        filters={one: query[one] for one in FILTERS if query.get(one)},
    )


def wanted(visitor: Visitor, topic: str, query: dict[str, str]) -> Browse:
    """Return what a request asks for of a topic. Raises Problem: 403, 404, 422."""
    if not known(topic):
        raise Problem("not_found", "no such topic; the page of topics names those there are")
    browse = browse_of(topic, query)
    if browse.contains is not None and "content" not in visitor.caller.scopes:
        raise Problem("forbidden", f"the key {visitor.caller.name!r} lacks the scope content, to search in values")
    return browse


def address_of(console: Console, record: ShownRecord) -> str:
    """Return the address of a record in another topic browser; empty where none is configured."""
    template = console.settings.record_url
    return elsewhere(template, console.gateway.settings.prefix + record.topic, record) if template else ""


def _described(console: Console, topic: str) -> dict[str, Any]:
    """Schema, fields and an example of a topic, and how long records stay; of dead letters there is no schema."""
    entry = CATALOGUE.get(topic)
    if entry is None:
        return {"schema": None, "fields": {}, "example": "", "days": CATALOGUE[source_of(topic)].retention_ms / DAY_MS}
    return {
        "schema": json_schema(entry, console.gateway.settings.prefix),
        "fields": fields_of(topic),
        "example": orjson.dumps(example_of(topic), option=orjson.OPT_INDENT_2).decode(),
        "days": entry.retention_ms / DAY_MS if entry.cleanup == "delete" else None,
    }


def _pages(found: Found | None, newest_first: bool) -> dict[str, dict[str, str | None]]:
    """The parameters of the pages before and after this one, where there are such."""
    if found is None:
        return {}
    older = {"before": positions_text(found.lower), "after": None} if found.older else None
    newer = {"after": positions_text(found.upper), "before": None} if found.newer else None
    first, second = (newer, older) if newest_first else (older, newer)
    return {name: one for name, one in (("previous", first), ("next", second)) if one is not None}


PAGES = (Page("/topics", catalogue, menu="Topics"), Page("/topics/{topic}", topic))
