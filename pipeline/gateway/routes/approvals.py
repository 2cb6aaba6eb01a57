"""What waits for a person: tool calls and held turns, each until its deadline."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.pending import KINDS, fits, since, subjects_of, used_signals
from endocrine.pipeline.gateway.routes.reads import (
    DEFAULT,
    MOST,
    OF_IDENTITY,
    PAGE,
    cursor_of,
    identity_of,
    keys_of,
    redis_of,
    shown_cursor,
)
from endocrine.pipeline.gateway.row import Query, Row, checked_query, json_response, number_of, one_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.redis import views, waiting
from endocrine.pipeline.views.redis.waiting import Waiting

Json = dict[str, Any]
MOST_LOOKED_AT = 10_000
"""Entries that are looked at for one answer; `next` goes on from there."""


async def listed(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/approvals."""
    query = checked_query(request, "kind", "identity", "limit", "cursor")
    limit, kind = number_of(query, "limit", DEFAULT, 1, MOST), one_of(query, "kind", KINDS)
    identity, redis, named = identity_of(gateway, caller, query), redis_of(gateway), keys_of(gateway)
    found, place, looked = list[Waiting](), cursor_of(query), 0
    while len(found) < limit and looked < MOST_LOOKED_AT:
        page = await views.page_places(redis, named.approvals(), limit - len(found), place, ascending=True)
        some = await waiting.approvals(redis, named, [member for _, member in page.places])
        found += [one for one in (fits(one, kind, identity) for one in some) if one is not None]
        looked, place = looked + len(page.places), page.next
        if place is None:
            break
    about = [None] * len(found)
    if "content" in caller.scopes:
        about = await subjects_of(gateway.settings, gateway.policy.of, found)
    items = [_shown(one, subject) for one, subject in zip(found, about, strict=True)]
    return json_response({"items": items, "next": shown_cursor(place)})


def _shown(one: Waiting, subject: Any) -> Json:
    shown: Json = {"kind": one.kind, "identity": one.identity, "audit_id": one.audit_id, "expires": one.expires}
    shown["since"] = since(one)
    if one.kind == "turn":
        signals = [{"name": name, "level": level} for name, level in used_signals(one)]
        return shown | {"signals": signals, "prompt": subject}
    known = {name: one.call.get(name) for name in ("function", "tool", "rule", "arguments_digest")}
    return shown | {"call_id": one.call_id, **known, "arguments": subject}


ROUTES = [
    Row(
        "GET",
        "/v1/approvals",
        "read",
        listed,
        "Tool calls and held turns that wait for a person, the next deadline first. Arguments and prompts with the "
        "scope `content`; null: not where the read models say.",
        problems=("views_away", "broker_away", "identity_not_allowed"),
        query=(
            Query("kind", "Calls, or turns.", {"type": "string", "enum": list(KINDS)}),
            OF_IDENTITY,
            *PAGE,
        ),
    ),
]
