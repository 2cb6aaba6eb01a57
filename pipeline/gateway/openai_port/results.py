"""Results of the application's own tools as records: sealed, as a door's alone count."""

import hashlib
import hmac
from typing import Any

import orjson

from endocrine.pipeline.gateway.openai.port import AnsweredCall

Json = dict[str, Any]


def result_record(
    call: AnsweredCall, audit_id: str, identity: str, ts: float, secret: bytes, streamed: bool | None = None
) -> Json:
    """Return a `tool-results` record. secret: keeps its id from being taken before, by who knows the call's id.
    streamed: as `TurnRequest` has it.

    The id is the call's: a second result of one call, whoever brings it, is the same or a conflict.
    """
    name = hmac.new(secret, call.call_id.encode(), hashlib.sha256).hexdigest()[:32]
    taken = {} if streamed is None else {"streamed": streamed}
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
        **taken,
    }


def results_digest(results: tuple[AnsweredCall, ...], streamed: bool | None = None) -> str:
    """Return SHA-256 of what the results say, and of how the answer to them is taken where that is recorded."""
    given: list[Any] = [[one.call_id, one.name, one.content] for one in results]
    return hashlib.sha256(orjson.dumps(given if streamed is None else [*given, streamed])).hexdigest()
