"""The timeline of an identity over all topics, newest first; and the links of identities as people judge them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console import actions, timeline, whose
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.screens.identity import members_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.console.timeline_lines import KIND_OF, KINDS, line_of
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.views.redis import views

PAGE = 50


async def entries(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show what happened to an identity, or to all that applied links connect with it."""
    name = checked_identity(console.gateway.names, request.path_params["identity"])
    query = {one: text for one, text in request.query_params.items() if text}
    settings, redis = console.gateway.settings, redis_of(console.gateway)
    kind = one_of(query, "kind", KINDS)
    topics = [topic for topic in KIND_OF if kind in (None, KIND_OF[topic])]
    cursor = timeline.cursor_of(query.get("before"), topics)
    group = await views.link_group(redis, name)
    members = members_of(request, name, group.members)
    links = [link for member in members for link in await views.links(redis, member)]
    seals = known_seals(settings)
    meant = [whose.keys_of_topic(topic, members, settings, seals, links) for topic in topics]
    page = await timeline.newest(settings, meant, PAGE, cursor)
    return console.page(
        request,
        visitor,
        "timeline.html",
        title=f"Timeline of {name}",
        identity=name,
        members=members,
        group=group,
        kinds=list(KINDS),
        entries=[_entry(visitor, topic, raw) for topic, raw in page.records],
        looked_at=page.looked_at,
        back_to=page.back_to,
        before=timeline.shown_cursor(page.next),
    )


def _entry(visitor: Visitor, topic: str, raw: Any) -> dict[str, Any]:
    value = json_object(raw.value) or {}
    line = line_of(topic, shown_to(visitor.caller, topic, value))
    ts = value.get("timestamp", value.get("ts"))
    return {
        "topic": topic,
        "kind": KIND_OF[topic],
        "at": raw.timestamp / 1000 if ts is None else ts,
        "identity": (raw.key or b"").decode("utf-8", "replace"),
        "text": line.text,
        "audit_id": line.audit_id,
        "partition": raw.partition,
        "offset": raw.offset,
    }


async def judge(console: Console, request: Request, visitor: Visitor) -> Response:
    """Apply, reverse or dismiss a link, as a command on record."""
    form = await form_of(request)
    action = str(form.get("action", ""))
    if action not in ("apply", "reverse", "dismiss"):
        raise Problem("invalid", "the form: expected apply, reverse or dismiss", field="action")
    a, b = actions.unpacked(form, "named", 2)
    reason = actions.text_of(form, "reason", actions.MOST_REASON)
    given = {"kind": f"link_{action}", "b": b, "reason": reason}
    event = await actions.recorded(console, request, visitor, a, given, events="link-events")
    redis = redis_of(console.gateway)

    async def is_shown() -> bool:
        link = await views.link(redis, a, b)
        return event is None or (link or {}).get("status") == event["new"]

    await actions.shown(is_shown)
    return actions.back(form)


PAGES = (
    Page("/timelines/{identity:id}", entries),
    Page("/links", judge, "review", post=True),
)
