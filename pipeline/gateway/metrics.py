"""Figures of the gateway: those of the closed list, labels from closed vocabularies only."""

from typing import Any

from prometheus_client import CollectorRegistry

from endocrine.pipeline.views.metrics.catalogue import GATEWAY_METRICS
from endocrine.pipeline.views.metrics.registry import made


class GatewayMetrics:
    """One gateway's figures; the catalogue says what each means."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        figures: dict[str, Any] = {metric.name: made(metric, self.registry) for metric in GATEWAY_METRICS}
        self.requests = figures["endocrine_gateway_requests_total"]
        self.seconds = figures["endocrine_gateway_hop_seconds"]
        self.waiting = figures["endocrine_gateway_waiting"]
        self.streams = figures["endocrine_gateway_streams"]
        self.late = figures["endocrine_gateway_advice_late_total"]
        self.undecided = figures["endocrine_gateway_undecided_total"]
        self.contexts = figures["endocrine_gateway_contexts_total"]
        self.forged = figures["endocrine_gateway_unsealed_records"]
