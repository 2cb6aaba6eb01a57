"""Spans of effects: a call of a model, a run of a tool, by OpenTelemetry's conventions for generative AI."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.tracing import Attribute

Attributes = dict[str, Attribute | None]


@contextmanager
def effect_span(
    name: str, topic: str, request: Request, group: str
) -> Iterator[Callable[[Sequence[EffectRecord]], None]]:
    """Run the block as the span of an effect, which it hands the records that answer; nothing where traces are off.

    name: the connector's. topic: of requests, with prefix. group: consumer group.
    """
    tracer = tracing.current()
    if tracer is None:
        yield lambda records: None
        return
    title, attributes = _begun(name, request)
    attributes |= {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(request.partition),
        "messaging.kafka.offset": request.offset,
        "messaging.consumer.group.name": group,
    }
    with tracer.span(title, "client", request.traceparent, attributes) as span:

        def answered(records: Sequence[EffectRecord]) -> None:
            if not records:
                return
            value = records[-1].value
            span.add(_ended(name, value))
            if (status := value.get("status", "ok")) != "ok":
                kind = str(value.get("error") or status).partition(":")[0]
                span.failed(kind if kind.isidentifier() and len(kind) <= 40 else str(status))

        yield answered


def _begun(name: str, request: Request) -> tuple[str, Attributes]:
    value = request.value
    if name == "model":
        shown: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": str(value.get("model")),
        }
        return f"chat {value.get('model')}", shown
    if name == "tools":
        tool = str(value.get("tool"))
        return f"execute_tool {tool}", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    return f"{name} process", {}


def _ended(name: str, value: dict[str, object]) -> Attributes:
    if name != "model":
        return {}
    usage = value.get("usage")
    tokens = usage if isinstance(usage, dict) else {}
    finish = value.get("finish_reason")
    return {
        "gen_ai.response.model": str(value.get("model")),
        "gen_ai.response.finish_reasons": None if finish is None else [str(finish)],
        "gen_ai.usage.input_tokens": tokens.get("input_tokens"),
        "gen_ai.usage.output_tokens": tokens.get("output_tokens"),
    }
