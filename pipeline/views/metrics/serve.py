"""Serving metrics and health, by default on loopback: a scraper on the machine, or a sidecar, reads them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import structlog
from prometheus_client import make_wsgi_app, start_http_server

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.health import Health, document
from endocrine.pipeline.views.metrics.registry import Metrics

log = structlog.get_logger(__name__)


def serve(settings: Settings, agents: Iterable[str], policy: Policy | None) -> Metrics | None:
    """Begin to count and to serve where `settings.metrics_port` is set; None elsewhere.

    `/livez` and `/readyz` answer for the roles in `Metrics.roles`, any other path with the metrics. policy: None where
    nothing of it is counted. Raises OSError where the port is taken: a process that is to be watched must not run
    unwatched.
    """
    if settings.metrics_port is None:
        return None
    metrics = Metrics(agents, () if policy is None else policy.document.tools.names)
    if policy is not None:
        metrics.add("endocrine_budget_limit_tokens", policy.document.budget.limit)
    server, thread = start_http_server(settings.metrics_port, addr=settings.metrics_host, registry=metrics.registry)
    server.set_app(_app(metrics))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    metrics.stop_with(stop)
    log.info("metrics", url=f"http://{settings.metrics_host}:{settings.metrics_port}/metrics")
    return metrics


def answer(path: str, roles: Mapping[str, Callable[[], Health]]) -> tuple[int, dict[str, Any]] | None:
    """Return status and document of `/livez` and `/readyz`; None for any other path."""
    if path not in ("/livez", "/readyz"):
        return None
    found = {role: health() for role, health in roles.items()}
    if path == "/livez":
        live = all(health.live for health in found.values())
        return (200 if live else 503), {"status": "live" if live else "not live"}
    shown = document(found)
    ready = bool(found) and shown["status"] == "ready"
    return (200 if ready else 503), shown | {"status": "ready" if ready else "not ready"}


def _app(metrics: Metrics) -> Any:
    figures = make_wsgi_app(metrics.registry)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        answered = answer(environ["PATH_INFO"], metrics.roles)
        if answered is None:
            return figures(environ, start_response)
        status, shown = answered
        words = {200: "200 OK", 503: "503 Service Unavailable"}
        start_response(words[status], [("Content-Type", "application/json")])
        return [orjson.dumps(shown)]

    return app
