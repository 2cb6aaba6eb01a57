"""What every page has at hand."""

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.operations import Operations
from endocrine.pipeline.console.sessions import Sessions, Visitor
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.console.templates import rendered
from endocrine.pipeline.gateway.state import Gateway

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every page. Nothing that is not served from here runs, styles or is loaded."""


@dataclass(frozen=True)
class Console:
    """The gateway whose process serves the pages, and the sessions of its visitors."""

    gateway: Gateway
    sessions: Sessions
    navigation: tuple[tuple[str, str], ...]
    """(path, title) of the pages in the menu."""
    operations: Operations
    settings: ConsoleSettings = field(default_factory=ConsoleSettings)

    def page(
        self, request: Request, visitor: Visitor | None, template: str, status: int = 200, **data: Any
    ) -> Response:
        """Return a page. data: what the template shows; all of it is escaped."""
        content = rendered(
            template,
            visitor=visitor,
            token=visitor.token if visitor else "",
            navigation=self.navigation,
            links=Links(request.url.path, request.query_params.multi_items()),
            here=request.url.path,
            query=dict(request.query_params),
            version=self.gateway.version,
            **data,
        )
        response = Response(content, status, HEADERS, "text/html; charset=utf-8")
        if visitor is not None and visitor.fresh:
            self.sessions.keep(response, request, visitor.session)
        return response
