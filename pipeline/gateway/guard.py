"""The outermost layer: a request id on every answer, a bound on headers, counting. Plain ASGI; streams pass as is."""

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from endocrine.pipeline.gateway.metrics import GatewayMetrics
from endocrine.pipeline.gateway.problems import Problem, Render, as_problem
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.tracing import DOOR

_UNTRACED = ("/livez", "/readyz", "/health", "/metrics")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Guard:
    """Wraps the application. render: how a Problem becomes a response, by the path that was asked."""

    def __init__(self, app: ASGIApp, header_bytes: int, metrics: GatewayMetrics, render: Render = as_problem) -> None:
        self._app = app
        self._most = header_bytes
        self._metrics = metrics
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; as a span, where traces are on: records that it produces carry the span's context."""
        tracer = tracing.current()
        if tracer is None or scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._guarded(scope, receive, send)
            return
        parent = dict(scope["headers"]).get(b"traceparent")
        with tracer.span("HTTP", "server", parent, {"http.request.method": scope["method"]}) as span:
            token = DOOR.set(span.traceparent)
            try:
                await self._guarded(scope, receive, send)
            finally:
                DOOR.reset(token)
                route, status = scope.get("route_template", "other"), scope.get("state", {}).get("status")
                span.rename(f"{scope['method']} {route}")
                span.add({"http.route": route, "http.response.status_code": status})
                if status is not None and status >= 500:
                    span.failed(str(status))

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name == b"x-request-id" for name, _ in headers):
                    headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
                scope["state"]["status"] = message["status"]
                route = scope.get("route_template", "other")
                self._metrics.requests.labels(route=route, status=str(message["status"])).inc()
            await send(message)

        size = sum(len(name) + len(content) + 4 for name, content in scope["headers"])
        size += len(scope["raw_path"]) + len(scope["query_string"])
        if size > self._most:
            detail = f"path and headers: {size} bytes; expected at most {self._most}"
            problem = Problem("headers_too_large", detail, headers={"connection": "close"})
            await self._render(problem, request_id, scope["path"])(scope, receive, counted)
            return
        await self._app(scope, receive, counted)
