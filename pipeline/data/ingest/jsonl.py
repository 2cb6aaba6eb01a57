"""Format `jsonl`: our own records, one `{"topic", "value", "key"?, "headers"?}` per line, as `simulate` reads them."""

from typing import Any, BinaryIO

from pydantic import ValidationError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.ingest.explain import explain
from endocrine.pipeline.data.ingest.lines import json_objects
from endocrine.pipeline.data.ingest.model import Options, Piece, Pieces, Record, Refused

TOPICS = (
    "interactions",
    "signals",
    "observations",
    "tool-calls",
    "tool-results",
    "feedback",
    "detections",
    "commands",
    "model-replies",
)
"""Topics that producers write. The others are written by agents alone: a record forged there would look derived."""
EXPECTED = 'one JSON object per line, {"topic": ..., "value": {...}}, "key" and "headers" optional'


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """Yield each line, validated against the catalogue; the value is passed on as it came."""
    for item in json_objects(stream, name, EXPECTED):
        yield item if isinstance(item, Refused) else _record(*item)


def _record(where: str, line: dict[str, Any]) -> Piece:
    unknown = sorted(line.keys() - {"topic", "value", "key", "headers"})
    if unknown or "topic" not in line or "value" not in line:
        problem = f"unknown field {unknown[0]!r}" if unknown else "has no `topic` and `value`"
        return Refused(where, f"{problem}; expected {EXPECTED}")
    topic, value, key, headers = line["topic"], line["value"], line.get("key"), line.get("headers")
    if topic not in TOPICS:
        known = isinstance(topic, str) and topic in CATALOGUE
        problem = f"topic {topic!r} is written by agents only" if known else f"no topic is called {topic!r:.80}"
        return Refused(where, f"{problem}; expected one of {', '.join(TOPICS)} (without prefix)")
    if key is not None and not isinstance(key, str):
        return Refused(where, "key: expected a string, or leave it out to use the identity")
    if headers is not None and not (isinstance(headers, dict) and all(isinstance(v, str) for v in headers.values())):
        return Refused(where, "headers: expected an object of strings")
    try:
        CATALOGUE[topic].adapter.validate_python(value)
    except ValidationError as error:
        return Refused(where, f"no {topic} record: {explain(error)}")
    return Record(where, topic, value, key, headers)
