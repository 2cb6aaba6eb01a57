"""Incidents: a list with filters, statistics over all that the filters leave, and the same as CSV."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.paging import Place, listed
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.routes.reads import (
    found_incidents,
    identity_of,
    incident_matches,
    incidents_csv,
    keys_of,
    redis_of,
    time_of,
)

PAGE = 50
MOST_EXPORTED = 10_000
MOST_COUNTED = 10_000
_KNOWN = ("kind", "tool", "mode", "identity", "since", "until", "cursor", "newer")


def _query(request: Request) -> dict[str, str]:
    return {name: text for name, text in request.query_params.items() if text and name in _KNOWN}


async def incidents(console: Console, request: Request, visitor: Visitor) -> Response:
    """List incidents, newest first."""
    query, gateway = _query(request), console.gateway
    since, until = time_of(query, "since"), time_of(query, "until")
    identity = identity_of(gateway, visitor.caller, query)

    async def shown(members: Sequence[bytes]) -> list[dict[str, Any] | None]:
        found = [orjson.loads(member) for member in members]
        return [
            one
            if incident_matches(one, query)
            and identity in (None, one["identity"])
            and (since is None or one["ts"] >= since)
            else None
            for one in found
        ]

    top: Place | None = None if until is None else (int(until * 1000), b"")
    page = await listed(redis_of(gateway), keys_of(gateway).incidents(), shown, query, PAGE, top=top)
    return console.page(request, visitor, "incidents.html", title="Incidents", page=page)


async def statistics(console: Console, request: Request, visitor: Visitor) -> Response:
    """Count the newest MOST_COUNTED incidents that the filters leave, by kind, tool, reason, mode and identity."""
    query = _query(request)
    query.pop("cursor", None)
    found, more = await found_incidents(console.gateway, visitor.caller, query, MOST_COUNTED)
    counts = {
        "kind": Counter(one["kind"] for one in found),
        "tool": Counter(one["attempted"] for one in found if one["attempted"]),
        "reason": Counter(one["reason"] for one in found),
        "mode": Counter(one["params_snapshot"]["mode"] for one in found if one["params_snapshot"]["mode"]),
        "identity": Counter(one["identity"] for one in found),
    }
    return console.page(
        request,
        visitor,
        "incident_statistics.html",
        title="Incidents counted",
        total=len(found),
        more=more is not None,
        filters={name: text for name, text in query.items() if name != "newer"},
        counts={name: counted.most_common(20) for name, counted in counts.items()},
    )


async def export(console: Console, request: Request, visitor: Visitor) -> Response:
    """Return what the filters leave as CSV, at most MOST_EXPORTED rows."""
    query = _query(request)
    query.pop("cursor", None)
    found, more = await found_incidents(console.gateway, visitor.caller, query, MOST_EXPORTED)
    name = f"incidents{f'-newest-{MOST_EXPORTED}' if more else ''}.csv"
    headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    return Response(incidents_csv(found), 200, headers, "text/csv; charset=utf-8")


PAGES = (
    Page("/incidents", incidents, menu="Incidents"),
    Page("/incidents/statistics", statistics),
    Page("/incidents.csv", export),
)
