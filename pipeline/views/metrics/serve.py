"""Serving metrics on loopback: a scraper on the machine, or a sidecar, reads them; nobody else can."""

from collections.abc import Iterable

import structlog
from prometheus_client import start_http_server

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.registry import Metrics

ADDRESS = "127.0.0.1"
log = structlog.get_logger(__name__)


def serve(settings: Settings, agents: Iterable[str], policy: Policy) -> Metrics | None:
    """Begin to count and to serve where `settings.metrics_port` is set; None elsewhere.

    Raises OSError where the port is taken: a process that is to be watched must not run unwatched.
    """
    if settings.metrics_port is None:
        return None
    metrics = Metrics(agents, policy.document.tools.names)
    metrics.add("endocrine_budget_limit_tokens", policy.document.budget.limit)
    server, thread = start_http_server(settings.metrics_port, addr=ADDRESS, registry=metrics.registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    metrics.stop_with(stop)
    log.info("metrics", url=f"http://{ADDRESS}:{settings.metrics_port}/metrics")
    return metrics
