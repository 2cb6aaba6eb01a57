"""JSON lines of OpenTelemetry, brought to one form: OTLP/JSON, what SDKs print, and flat spans or events.

OTLP wraps spans (`resourceSpans`, `scopeSpans`, `spans`) and log records (`resourceLogs`, ...), writes attributes as a
list of `{"key", "value": {"stringValue": ...}}` and times as nanoseconds in strings; SDK exporters print spans with
`attributes` as an object and times in ISO 8601.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from endocrine.pipeline.data.ingest.values import object_or_empty, parse_time, text_or_none

_NANOSECONDS = 1e15
"""A number from here on is taken for nanoseconds since 1970."""
_SCALARS = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue")
MAX_DEPTH = 40
"""Attribute values nested deeper are left out."""


@dataclass(slots=True)
class Event:
    """An event of a span, or a log record used as one."""

    name: str
    attributes: dict[str, Any]
    body: Any = None
    ts: float | None = None


@dataclass(slots=True)
class Span:
    """A span, or the events of one that were logged by themselves."""

    trace_id: str
    span_id: str
    parent_id: str
    start_ts: float | None
    end_ts: float | None
    attributes: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    is_log: bool = False


def spans_of(line: dict[str, Any]) -> Iterator[Span | None]:
    """Yield the spans of a line; None for each thing on it that is no span and no event."""
    if "resourceSpans" in line or "resourceLogs" in line:
        for resource in _objects(line, "resourceSpans") + _objects(line, "resourceLogs"):
            scopes = _objects(resource, "scopeSpans") or _objects(resource, "instrumentationLibrarySpans")
            for scope in scopes + _objects(resource, "scopeLogs"):
                found = [_span(span) for span in _objects(scope, "spans")]
                found += [_log(record) for record in _objects(scope, "logRecords")]
                yield from found
    elif "spans" in line and isinstance(line["spans"], list):
        yield from (_span(span) for span in _objects(line, "spans"))
    elif "body" in line or "event_name" in line or "eventName" in line or "observedTimeUnixNano" in line:
        yield _log(line)
    elif "attributes" in line or "events" in line:
        yield _span(line)
    else:
        yield None


def _objects(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = holder.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _span(raw: dict[str, Any]) -> Span:
    context = object_or_empty(raw.get("context") or raw.get("spanContext") or raw.get("span_context"))
    parent = raw.get("parentSpanId") or raw.get("parent_span_id") or raw.get("parent_id") or raw.get("parentId")
    if isinstance(parent, dict) or parent is None:
        above = object_or_empty(parent or raw.get("parentSpanContext"))
        parent = above.get("span_id") or above.get("spanId")
    start = next((raw[key] for key in ("startTimeUnixNano", "start_time", "startTime", "start") if key in raw), None)
    end = next((raw[key] for key in ("endTimeUnixNano", "end_time", "endTime", "end") if key in raw), None)
    return Span(
        _id(raw, context, "traceId", "trace_id"),
        _id(raw, context, "spanId", "span_id"),
        _hex(parent),
        time_of(start),
        time_of(end),
        attributes_of(raw.get("attributes")),
        [_event(event) for event in _objects(raw, "events")],
    )


def _event(raw: dict[str, Any]) -> Event:
    ts = next((raw[key] for key in ("timeUnixNano", "timestamp", "time") if key in raw), None)
    return Event(str(raw.get("name") or ""), attributes_of(raw.get("attributes")), plain(raw.get("body")), time_of(ts))


def _log(raw: dict[str, Any]) -> Span:
    attributes = attributes_of(raw.get("attributes"))
    name = raw.get("eventName") or raw.get("event_name") or attributes.get("event.name") or raw.get("name")
    stamps = ("timeUnixNano", "timestamp", "time", "observedTimeUnixNano", "observed_timestamp")
    ts = time_of(next((raw[key] for key in stamps if raw.get(key)), None))
    event = Event(str(name or ""), attributes, plain(raw.get("body")), ts)
    context = object_or_empty(raw.get("context") or raw.get("spanContext"))
    ids = _id(raw, context, "traceId", "trace_id"), _id(raw, context, "spanId", "span_id")
    return Span(*ids, "", ts, ts, dict(attributes), [event], True)


def _id(raw: dict[str, Any], context: dict[str, Any], *keys: str) -> str:
    return next((_hex(value) for key in keys if (value := raw.get(key) or context.get(key))), "")


def _hex(value: Any) -> str:
    return value.lower().removeprefix("0x") if isinstance(value, str) else ""


def time_of(value: Any) -> float | None:
    """Read a time in nanoseconds (a number or its digits), or in any form of `parse_time`."""
    # Digits of ASCII alone, and no more than a time has: others look like digits to Python and are no number, or none
    # that a float can hold.
    if isinstance(value, str) and (digits := value.strip()).isascii() and digits.isdigit() and len(digits) < 30:
        value = int(digits)
    if isinstance(value, int) and value.bit_length() > 100:
        return None  # no time, and nothing that can be divided
    if isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) and n.bit_length() < 100 for n in value):
        return parse_time(value[0] + value[1] / 1e9)  # seconds and nanoseconds, as the JavaScript SDK prints them
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= _NANOSECONDS:
        return parse_time(value / 1e9) if value >= _NANOSECONDS * 100 else parse_time(value / 1e6)
    return parse_time(value)


def attributes_of(raw: Any) -> dict[str, Any]:
    """Return attributes as an object of plain values, whichever way they are written."""
    if isinstance(raw, dict):
        return {key: plain(value) for key, value in raw.items()}
    if not isinstance(raw, list):
        return {}
    pairs = [pair for pair in raw if isinstance(pair, dict) and text_or_none(pair.get("key"))]
    return {pair["key"]: plain(pair.get("value")) for pair in pairs}


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value without OTLP's wrapping; what is wrapped too deep is None."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (kind, content), *_ = value.items()
        if kind in _SCALARS:
            return content
        if kind == "arrayValue":
            return [plain(item, depth + 1) for item in _values(content)]
        if kind == "kvlistValue":
            pairs = [pair for pair in _values(content) if isinstance(pair, dict)]
            return {str(pair.get("key")): plain(pair.get("value"), depth + 1) for pair in pairs}
    return {key: plain(item, depth + 1) for key, item in value.items()}


def _values(content: Any) -> list[Any]:
    values = object_or_empty(content).get("values")
    return values if isinstance(values, list) else []
