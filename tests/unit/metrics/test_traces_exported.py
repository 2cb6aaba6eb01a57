"""What `ENDOCRINE_TRACES=otlp` sends: OpenTelemetry's own exporter, to a receiver of OTLP over HTTP on loopback."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.settings import Settings

PARENT = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"


class Receiver(HTTPServer):
    """Takes what a collector takes at POST /v1/traces, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((self.path, headers, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        tracing.use(None)
        server.shutdown()
        serving.join()


def test_what_is_traced_has_reached_the_collector_when_the_process_stops(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=platform")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    tracing.start(Settings(traces="otlp"), "worker")
    tracer = tracing.current()
    assert tracer is not None
    with tracer.span("gating process tool-calls", "consumer", PARENT, {"messaging.kafka.offset": 7}) as span:
        span.failed("http_429")
    tracing.stop()
    ((path, headers, request),) = receiver.received
    assert (path, headers["content-type"], headers["x-team"]) == ("/v1/traces", "application/x-protobuf", "platform")
    (of_resource,) = request.resource_spans
    resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
    assert resource["service.name"] == "endocrine-worker"
    assert resource["deployment.environment.name"] == "staging"
    ((sent,),) = [scope.spans for scope in of_resource.scope_spans]
    assert (sent.name, sent.kind) == ("gating process tool-calls", Span.SPAN_KIND_CONSUMER)
    assert (sent.trace_id.hex(), sent.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
    assert sent.status.code == Status.STATUS_CODE_ERROR
    values = {one.key: one.value for one in sent.attributes}
    assert (values["messaging.kafka.offset"].int_value, values["error.type"].string_value) == (7, "http_429")


def test_each_role_is_a_service_of_its_own(receiver: Receiver) -> None:
    for role in ("gateway", "model"):
        tracing.start(Settings(traces="otlp"), role)
        with tracing.current().span("any", "server", None, {}):
            pass
        tracing.stop()
    named = [
        one.value.string_value
        for _, _, request in receiver.received
        for one in request.resource_spans[0].resource.attributes
        if one.key == "service.name"
    ]
    assert named == ["endocrine-gateway", "endocrine-model"]


def test_nothing_is_sent_where_traces_are_off(receiver: Receiver) -> None:
    tracing.start(Settings(), "worker")
    assert tracing.current() is None
    tracing.stop()
    assert receiver.received == []
