"""Figures of the gateway: a closed list, labels from closed vocabularies only."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class GatewayMetrics:
    """One gateway's figures. Routes are templates such as `/v1/turns/{audit_id}`, never paths as they were asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "endocrine_gateway_requests_total", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "endocrine_gateway_hop_seconds",
            "Seconds of each hop of an awaited answer: ack, decide, deliver.",
            ["hop"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.waiting = Gauge("endocrine_gateway_waiting", "Requests that wait for an answer.", registry=self.registry)
        self.streams = Gauge("endocrine_gateway_streams", "Streams of /v1/events open.", registry=self.registry)
        self.late = Counter(
            "endocrine_gateway_advice_late_total",
            "Turns answered with strict defaults, because their parameters did not come in time.",
            registry=self.registry,
        )
        self.undecided = Counter(
            "endocrine_gateway_undecided_total",
            "Tool calls answered decision_timeout: they may not run.",
            registry=self.registry,
        )
        self.contexts = Counter(
            "endocrine_gateway_contexts_total",
            "Context packs: built; unavailable, as the read models are away; unrecorded, as the broker is.",
            ["outcome"],
            registry=self.registry,
        )
        self.forged = Gauge(
            "endocrine_gateway_unsealed_records",
            "Records on derived topics under the key of a waiting request that were not ours.",
            registry=self.registry,
        )
