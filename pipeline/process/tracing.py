"""Traces by OpenTelemetry: off as shipped, and then nothing of it is imported.

A record carries the `traceparent` that came with its trigger, unchanged: derived bytes are the same with traces and
without, in worker, `simulate` and replay. So a door makes the one context that all records of its turn carry, and what
agents and connectors do are spans beneath the door's. Attributes are names and figures of ours: never a prompt, an
answer, an argument of a tool, an identity, or an id that an application chose.

One tracer serves a process, as one log does: `current()`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from endocrine.pipeline.core.records import is_traceparent
from endocrine.pipeline.process.settings import Settings

Kind = Literal["server", "client", "consumer"]
Attribute = str | int | float | list[str]
DOOR: ContextVar[str | None] = ContextVar("traceparent of the door", default=None)
"""The `traceparent` of the request that a door answers now, for the records that it produces."""
_current: "Tracer | None" = None


class TracesUnavailable(RuntimeError):
    """Traces are asked for, and what makes them is not installed."""


class Span:
    """A span under way."""

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """Its context, as W3C Trace Context writes it."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def rename(self, name: str) -> None:
        """Give it the name that is known at its end only."""
        self._span.update_name(name)

    def add(self, attributes: Mapping[str, Attribute | None]) -> None:
        """Add attributes; None is left out."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name, value)

    def failed(self, kind: str) -> None:
        """Set its status to failed. kind: of the error, a closed word; a message may hold content."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", kind)


class Tracer:
    """Makes spans. provider: a TracerProvider of OpenTelemetry's SDK."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("endocrine")

    @contextmanager
    def span(
        self, name: str, kind: Kind, parent: bytes | None, attributes: Mapping[str, Attribute | None]
    ) -> Iterator[Span]:
        """Run the block as a span. parent: a `traceparent`; without a valid one a trace begins."""
        from opentelemetry.trace import SpanKind

        made = self._tracer.start_span(name, context=_context(parent), kind=SpanKind[kind.upper()])
        span = Span(made)
        span.add(attributes)
        try:
            yield span
        except BaseException as error:  # its text may hold content: the class alone
            span.failed(type(error).__name__)
            raise
        finally:
            made.end()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def current() -> Tracer | None:
    """Return the tracer of this process; None where traces are off."""
    return _current


def use(tracer: Tracer | None) -> None:
    """Make it the tracer of this process."""
    global _current
    _current = tracer


def start(settings: Settings, role: str) -> None:
    """Begin to trace, where the settings say so. Raises TracesUnavailable.

    Where spans go to is OpenTelemetry's to say: OTEL_EXPORTER_OTLP_ENDPOINT and its other variables.
    """
    if settings.traces == "off":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracesUnavailable(
            f"ENDOCRINE_TRACES is {settings.traces}, and OpenTelemetry is not installed ({error.name} is missing); "
            "install the extra: pip install 'endocrine[otel]', or unset ENDOCRINE_TRACES"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": f"endocrine-{role}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(Tracer(provider))


def stop() -> None:
    """Send what is left and trace no more."""
    if _current is not None:
        _current.close()
        use(None)


def _context(parent: bytes | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if parent is None or not is_traceparent(parent):
        return Context()
    _, trace, span, flags = parent.decode().split("-")
    remote = SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(remote), Context())
