"""Incidents: a list with filters, counts, and the same as CSV."""

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.routes.reads import found_incidents, incidents_csv, shown_cursor

PAGE = 50
MOST_EXPORTED = 10_000
_KNOWN = ("kind", "tool", "mode", "identity", "since", "until", "cursor")


def _query(request: Request) -> dict[str, str]:
    return {name: text for name, text in request.query_params.items() if text and name in _KNOWN}


async def incidents(console: Console, request: Request, visitor: Visitor) -> Response:
    """List incidents, newest first."""
    found, cursor = await found_incidents(console.gateway, visitor.caller, _query(request), PAGE)
    return console.page(
        request,
        visitor,
        "incidents.html",
        title="Incidents",
        incidents=found,
        next=shown_cursor(cursor),
        counts=Counter(one["kind"] for one in found).most_common(),
    )


async def export(console: Console, request: Request, visitor: Visitor) -> Response:
    """Return what the filters leave as CSV, at most MOST_EXPORTED rows."""
    query = _query(request)
    query.pop("cursor", None)
    found, _ = await found_incidents(console.gateway, visitor.caller, query, MOST_EXPORTED)
    headers = {**HEADERS, "content-disposition": 'attachment; filename="incidents.csv"'}
    return Response(incidents_csv(found), 200, headers, "text/csv; charset=utf-8")


PAGES = (Page("/incidents", incidents, menu="Incidents"), Page("/incidents.csv", export))
