"""From a request of the client to the record that the gateway would produce of it. Pure."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]
SOURCE = b"endocrine-client/kafka"
"""CloudEvents source of these records."""
DOOR = "client"
COMMANDS: Mapping[str, str] = {
    "approve": "approve",
    "deny": "deny",
    "approve-turn": "approve_turn",
    "deny-turn": "deny_turn",
    "cap": "set_cap",
    "note": "add_note",
    "release": "release_lock",
    "clear-risk": "clear_risk",
}
"""Name in the path to the record's kind."""
_DEFAULTS: Mapping[str, Json] = {
    "tool-calls": {"step": 1},
    "tool-results": {"args_summary": "", "duration_ms": 0.0},
    "feedback": {},
    "signals": {"ttl_ms": 800, "source": "runtime"},
    "observations": {"v": 1},
    "detections": {},
}
"""Topics that have a path of their own name, and what their records may leave out."""
_TURNS, _CLOSE, _COMMANDS = "/v1/turns", "/close", "/v1/commands/"


class NeedsGateway(Exception):
    """There is no record of this request: the gateway answers it from what it holds."""


class Record(NamedTuple):
    """A record to be produced. topic: without prefix."""

    topic: str
    identity: str
    value: Json

    @property
    def id(self) -> str:
        """Its id, the same each time it is sent."""
        return str(self.value["id"])

    @property
    def content(self) -> bytes:
        """Its value. Raises ValueError: no JSON."""
        return json.dumps(self.value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """Those of a CloudEvent in binary mode."""
        return [
            ("ce_id", self.id.encode()),
            ("ce_source", SOURCE),
            ("ce_type", f"endocrine.{self.topic}.v1".encode()),
            ("ce_specversion", b"1.0"),
            ("ce_subject", self.identity.encode()),
            ("content-type", b"application/json"),
        ]


def record_of(method: str, path: str, given: Mapping[str, Any], key: str, client: str) -> Record:
    """The record of a request. key: its `Idempotency-Key`, which names the id. client: who opens turns and commands.

    Raises NeedsGateway where there is none, ValueError where it names nobody.
    """
    topic, fixed = _kind(method, path)
    value = {name: part for name, part in given.items() if part is not None}
    if topic == "observations" and "identity" in value:
        value.setdefault("identity_ref", value.pop("identity"))
    identity = value.get("identity_ref" if topic == "observations" else "identity")
    if not isinstance(identity, str) or not identity:
        raise ValueError("identity: expected a text that is not empty")
    if fixed.get("kind") == "opened":
        value = {"session_id": value.get("audit_id"), "turn": 0, "client": client, **value}
    value = {**_DEFAULTS.get(topic, {}), "ts": time.time(), **value, **fixed}
    if topic == "commands":
        value["by"] = client
    named = "\0".join((topic, identity, key)).encode()
    return Record(topic, identity, {**value, "id": f"client-{hashlib.sha256(named).hexdigest()[:32]}"})


def _kind(method: str, path: str) -> tuple[str, Json]:
    """Topic, and the fields that the path gives."""
    if method == "POST":
        if path == _TURNS:
            return "interactions", {"kind": "opened", "door": DOOR}
        if path.startswith(_TURNS + "/") and path.endswith(_CLOSE):
            return "interactions", {"kind": "closed", "audit_id": path[len(_TURNS) + 1 : -len(_CLOSE)]}
        if path.startswith("/v1/") and (topic := path[len("/v1/") :]) in _DEFAULTS:
            return topic, {}
        if path.startswith(_COMMANDS) and (kind := COMMANDS.get(path[len(_COMMANDS) :])) is not None:
            return "commands", {"kind": kind}
    raise NeedsGateway(f"{method} {path}")
