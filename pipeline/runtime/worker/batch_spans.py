"""Spans of what an agent made of records: one for each record with a `traceparent` that led to others.

A span is a point in time: when all that followed from its record was acknowledged. Records of a batch are processed
together, so that no single one has a duration of its own.
"""

from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.records import ORIGIN, TRACEPARENT
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.tracing import Tracer


def trace_batch(tracer: Tracer, settings: Settings, agent: str, done: PreparedBatch) -> None:
    """Make the spans of one finished batch."""
    causes: dict[str, tuple[bytes, list[str]]] = {}
    for out in done.checkpoint.outbox:
        own = dict(out.own)
        parent, origin = own.get(TRACEPARENT), own.get(ORIGIN)
        if parent is not None and origin is not None:
            cause = origin.decode().rpartition("/")[0]
            causes.setdefault(cause, (parent, []))[1].append(out.topic)
    for cause, (parent, topics) in causes.items():
        _, topic, partition, offset = cause.split("/")
        attributes: dict[str, str | int | float | list[str] | None] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": settings.prefix + topic,
            "messaging.destination.partition.id": partition,
            "messaging.consumer.group.name": settings.group,
            "messaging.kafka.offset": int(offset),
            "endocrine.agent": agent,
            "endocrine.outputs": topics,
        }
        with tracer.span(f"{agent} process {topic}", "consumer", parent, attributes):
            pass
