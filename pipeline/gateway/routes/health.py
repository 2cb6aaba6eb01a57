"""Health, metrics, the pages of problems, and the OpenAPI document: no key is asked for, nothing private is shown."""

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from endocrine.pipeline.gateway.problems import KINDS, Problem
from endocrine.pipeline.gateway.row import json_response
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.metrics.health import Health, Part, document

MOST_LAG = 10_000
"""Records behind on the followed topics; beyond, answers would come too late."""


def routes(gateway: Gateway, openapi_document: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """Return the routes. openapi_document: makes the OpenAPI document, once."""

    async def live(request: Request) -> Response:
        return json_response({"status": "live"})

    async def ready(request: Request) -> Response:
        checks: dict[str, Any] = {"broker": False, "following": gateway.awaiting.following, "lag": None}
        try:
            checks["lag"] = await gateway.awaiting.lag()
            checks["broker"] = True
        except (KafkaError, TimeoutError):
            pass
        good = checks["broker"] and checks["following"] and checks["lag"] <= MOST_LAG
        checks["views"] = await _views(gateway)  # reads alone depend on them
        shown = document({"gateway": _health(checks)})
        word = "ready" if good else "not ready"
        return json_response({"status": word, "checks": checks, "roles": shown["roles"]}, 200 if good else 503)

    async def health(request: Request) -> Response:
        version, _, build = gateway.version.partition("+")
        about = {"version": version, "build": build or None, "built": gateway.built, "policy": gateway.policy.digest}
        return json_response({"status": "ok"} | about)

    async def metrics(request: Request) -> Response:
        figures = gateway.metrics
        figures.waiting.set(gateway.awaiting.watches.count)
        figures.streams.set(gateway.events.count)
        figures.forged.set(gateway.awaiting.dropped)
        return Response(generate_latest(figures.registry), 200, None, CONTENT_TYPE_LATEST)

    made: dict[str, Any] = {}

    async def openapi(request: Request) -> Response:
        if not made:
            made.update(openapi_document())
        return json_response(made)

    async def problem(request: Request) -> Response:
        kind = KINDS.get(request.path_params["kind"])
        if kind is None:
            raise Problem("not_found", "no such kind of problem")
        return Response(f"{kind.title} (status {kind.status})\n\n{kind.advice}\n", 200, None, "text/plain")

    table = {
        "/livez": live,
        "/readyz": ready,
        "/health": health,
        "/metrics": metrics,
        "/openapi.json": openapi,
        "/problems/{kind}": problem,
    }

    def counted(path: str, handler: Any) -> Any:
        async def serve(request: Request) -> Response:
            request.scope["route_template"] = path
            answer: Response = await handler(request)
            return answer

        return serve

    return [Route(path, counted(path, handler), methods=["GET"]) for path, handler in table.items()]


def _health(checks: Mapping[str, Any]) -> Health:
    """The checks as parts. The read models are a figure: an answer about a turn does not depend on them."""
    near = checks["lag"] is not None and checks["lag"] <= MOST_LAG
    return Health(
        {
            "broker": Part("ok" if checks["broker"] else "failed"),
            "assignment": Part("ok" if checks["following"] else "waiting"),
            "lag": Part("ok" if near else "failed", {"records": checks["lag"]}),
            "views": Part("ok", {"reachable": checks["views"]}),
        }
    )


async def _views(gateway: Gateway) -> bool:
    if gateway.redis is None:
        return False
    try:
        return bool(await gateway.redis.ping())
    except (RedisError, OSError):
        return False
