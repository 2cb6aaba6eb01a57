"""Traces: spans lie beneath the recorded traceparent, hold no content, and cost nothing where they are off."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.spans import effect_span
from endocrine.pipeline.core.batch import Tally
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.tracing import Tracer
from endocrine.pipeline.runtime.worker.batch_spans import trace_batch

PARENT = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
CANARY = "canary-7f3a"


@pytest.fixture
def spans():
    """The exporter that a tracer of this test writes to."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(Tracer(provider))
    yield exporter
    tracing.use(None)


def output(topic, ordinal, offset=7, trace=PARENT):
    own = [("endocrine-origin", f"gating/tool-calls/0/{offset}/{ordinal}".encode())]
    own += [] if trace is None else [("traceparent", trace)]
    return OutputRecord(topic, 0, b"ann", CANARY.encode(), tuple(own), True)


def test_each_record_that_led_to_others_is_one_span_beneath_its_traceparent(spans):
    outbox = [output("tool-decisions", 0), output("incidents", 1), output("tool-decisions", 0, 8, None)]
    done = PreparedBatch(2, [], Checkpoint(outbox=outbox), [], {}, Tally(read=2))
    trace_batch(tracing.current(), Settings(), "gating", done)
    (span,) = spans.get_finished_spans()
    assert span.name == "gating process tool-calls"
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == ("ab" * 16, "cd" * 8)
    assert span.attributes["messaging.destination.name"] == "endocrine.tool-calls"
    assert span.attributes["messaging.kafka.offset"] == 7
    assert span.attributes["endocrine.outputs"] == ("tool-decisions", "incidents")
    assert CANARY not in span.to_json()


def test_a_call_of_a_model_has_its_tokens_and_no_text(spans):
    asked = {"model": "gpt-4.1-mini", "messages": [{"content": CANARY}], "identity": CANARY, "audit_id": CANARY}
    reply = {
        "status": "error",
        "error": f"http_429: {CANARY}",
        "content": CANARY,
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "model": "gpt-4.1-mini",
        "finish_reason": "stop",
    }
    request = Request(asked, CANARY, 1, 9, 0.0, traceparent=PARENT)
    with effect_span("model", "endocrine.model-requests", request, "endocrine.model") as answered:
        answered([EffectRecord("model-replies", reply)])
    (span,) = spans.get_finished_spans()
    assert span.name == "chat gpt-4.1-mini"
    assert f"{span.context.trace_id:032x}" == "ab" * 16
    assert span.attributes["gen_ai.usage.output_tokens"] == 4
    assert span.attributes["error.type"] == "http_429"
    assert not span.status.is_ok
    assert CANARY not in span.to_json()


def test_an_error_that_is_raised_within_a_span_leaves_its_class_and_not_its_text(spans):
    request = Request({"tool": "browser", "arguments": {"url": CANARY}}, CANARY, 0, 1, 0.0)
    with (
        pytest.raises(ValueError, match=CANARY),
        effect_span("tools", "endocrine.tool-decisions", request, "endocrine.tools"),
    ):
        raise ValueError(CANARY)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.attributes["error.type"]) == ("execute_tool browser", "ValueError")
    assert CANARY not in span.to_json()


@pytest.mark.parametrize("parent", [None, b"", b"00-" + b"0" * 32 + b"-" + b"cd" * 8 + b"-01", CANARY.encode()])
def test_without_a_valid_traceparent_a_trace_begins(spans, parent):
    with tracing.current().span("HTTP", "server", parent, {}) as span:
        assert span.traceparent.startswith("00-")
    assert spans.get_finished_spans()[0].parent is None


def test_a_trace_that_its_caller_does_not_sample_is_not_recorded_and_is_passed_on_so(spans):
    with tracing.current().span("HTTP", "server", PARENT[:-2] + b"00", {}) as span:
        assert span.traceparent.startswith("00-" + "ab" * 16)
        assert span.traceparent.endswith("-00")
    assert spans.get_finished_spans() == ()


def test_where_traces_are_off_nothing_of_ours_imports_opentelemetry():
    """The client of Redis imports it by itself where it is installed."""
    watch = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if name.startswith("opentelemetry") and frame.f_globals["__name__"].startswith("endocrine"):
            os._exit(1)

sys.meta_path.insert(0, Watch())
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.settings import Settings
tracing.start(Settings(traces=sys.argv[1]), "worker")
"""
    roles = "import endocrine.pipeline.runtime.worker.main, endocrine.pipeline.gateway.server"
    roles += ", endocrine.pipeline.connectors.together"

    def ended(code, traces):
        return subprocess.run([sys.executable, "-c", code, traces], timeout=120).returncode

    assert ended(watch + roles, "off") == 0
    assert ended(watch, "otlp") == 1


def test_traces_without_what_makes_them_end_with_a_sentence_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(tracing.TracesUnavailable, match=r"ENDOCRINE_TRACES is otlp.*endocrine\[otel\]"):
        tracing.start(Settings(traces="otlp"), "worker")
