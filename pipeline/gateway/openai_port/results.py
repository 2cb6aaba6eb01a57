"""Results of the application's own tools as records: sealed, as a door's alone count."""

import hashlib
import hmac
from typing import Any

import orjson

from endocrine.pipeline.gateway.openai.port import AnsweredCall

Json = dict[str, Any]


def result_record(call: AnsweredCall, audit_id: str, identity: str, ts: float, secret: bytes) -> Json:
    """Return a `tool-results` record. secret: keeps its id from being taken before, by who knows the call's id.

    The id is the call's: a second result of one call, whoever brings it, is the same or a conflict.
    """
    name = hmac.new(secret, call.call_id.encode(), hashlib.sha256).hexdigest()[:32]
    return {
        "id": f"door-{name}",
        "call_id": call.call_id,
        "audit_id": audit_id,
        "identity": identity,
        "tool": call.name,
        "status": "ok",
        "duration_ms": 0.0,
        "args_summary": "",
        "output": call.content,
        "runner": "application",
        "ts": ts,
    }


def results_digest(results: tuple[AnsweredCall, ...]) -> str:
    """Return SHA-256 of what the results say."""
    return hashlib.sha256(orjson.dumps([[one.call_id, one.name, one.content] for one in results])).hexdigest()
