"""Schemas of record headers: CloudEvents 1.0 in binary mode for Kafka, W3C trace context, and ours.

Header values are UTF-8 text; one that is null counts as none. Producers may send none of them; derived records carry
all but `ce_time` (left out where the event's time is no date) and `traceparent` (passed on from the trigger).
"""

from typing import Any

from endocrine.pipeline.core import records as wire

_CLOUDEVENTS: dict[str, Any] = {
    "ce_id": {"type": "string", "minLength": 1, "description": "The event's id; copies of one record share it."},
    "ce_source": {"type": "string", "minLength": 1, "description": "The producer; ours is `endocrine/` and the agent."},
    "ce_type": {"type": "string", "minLength": 1, "description": "`endocrine.<topic>.v1`."},
    "ce_specversion": {"type": "string", "const": "1.0", "description": "Version of CloudEvents."},
    "ce_time": {"type": "string", "format": "date-time", "description": "Event time, the value's `ts`."},
    "ce_subject": {"type": "string", "minLength": 1, "description": "The identity."},
    "content-type": {"type": "string", "const": "application/json", "description": "What the value is."},
    "traceparent": {"type": "string", "description": "W3C trace context."},
}
_REKEYED: dict[str, Any] = {
    wire.REKEYED_FROM: {
        "type": "string",
        "description": "`topic/partition/offset` of the first copy of a record whose key did not fit.",
    }
}
_DERIVED: dict[str, Any] = {
    wire.ORIGIN: {
        "type": "string",
        "pattern": r"^[^/]+/[^/]+/\d+/\d+/\d+$",
        "description": "`agent/topic/partition/offset/ordinal`: the trigger, and the index of this output.",
    },
    wire.CUT: {
        "type": "string",
        "pattern": r"^[^/]+/\d+/\d+$",
        "description": "`agent/partition/batch`: the batch it was decided in; see topic `journal`.",
    },
    wire.POLICY: {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Digest of the policy in force."},
    wire.VERSION: {"type": "string", "minLength": 1, "description": "Code version and build."},
}
_SEALED: dict[str, Any] = {
    wire.SEAL: {"type": "string", "description": "Proof that a worker or connector wrote it: key id and keyed hash."}
}
_DEAD: dict[str, Any] = {
    wire.ERROR: {"type": "string", "description": "What is wrong, where, and what was expected."},
    wire.ERROR_KIND: {"type": "string", "description": "Short name of the mistake, such as `invalid` or `not_json`."},
    wire.ORIGIN: {"type": "string", "description": "Where the record came from."},
}
_ALWAYS = ["ce_id", "ce_source", "ce_type", "ce_specversion", "ce_subject", "content-type"]

SCHEMAS: dict[str, Any] = {
    "headers.produced": {
        "type": "object",
        "description": "Records that others produce. All headers are optional: bare JSON is taken.",
        "properties": _CLOUDEVENTS | _REKEYED,
    },
    "headers.derived": {
        "type": "object",
        "description": "Records that an agent derived.",
        "properties": _CLOUDEVENTS | _DERIVED | _SEALED | _REKEYED,
        "required": [*_ALWAYS, *_DERIVED],
    },
    "headers.dead-letter": {
        "type": "object",
        "description": "The original headers, and why the record could not be processed.",
        "properties": _DEAD,
        "required": [wire.ERROR, wire.ERROR_KIND],
    },
}
