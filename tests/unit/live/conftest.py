"""Events as the watcher makes them."""

import itertools
from types import SimpleNamespace

import pytest

from endocrine.pipeline.views.event import Event

PARAMETERS = {
    "temperature": 0.6,
    "top_p": 0.9,
    "max_output_tokens": 900,
    "reasoning_effort": 0.5,
    "retrieval_k": 6,
    "planner_beam": 2,
    "memory_write": 0.4,
    "safety_mode": "balanced",
    "tool_allowlist": ["retrieval", "browser"],
}


@pytest.fixture
def make():
    """Events by topic: `make.turn("t1", revision=1, mode="strict")` and so on; each with an id of its own."""
    ids = itertools.count()

    def event(topic, value, key="ann", id=None, fresh=True):
        return Event(topic, key, id or f"id-{next(ids)}", value, fresh)

    def turn(audit_id, identity="ann", revision=0, mode="balanced", refusal=None, id=None, **parameters):
        value = {"audit_id": audit_id, "identity": identity, "revision": revision, "admitted": refusal is None}
        value |= {"refusal": refusal, "review": "none", "mode": mode, "parameters": PARAMETERS | parameters}
        value |= {"prompt_style": mode, "signals": [], "lineage": {}, "policy": "0" * 64, "ts": 1.0}
        return event("modulations", value, identity, id)

    def decision(function="open_url", decision="allowed", reason=None, incident_id=None, identity="ann"):
        value = {"call_id": "c", "audit_id": "t1", "identity": identity, "function": function, "tool": None}
        value |= {"decision": decision, "reason": reason, "incident_id": incident_id, "policy": "0" * 64, "ts": 1.0}
        return event("tool-decisions", value, identity)

    def incident(kind, identity="ann"):
        value = {"incident_id": "i", "kind": kind, "audit_id": "t1", "identity": identity, "attempted": None}
        return event("incidents", value | {"reason": "why", "ts": 1.0}, identity)

    def style(identity, locked=False, cards=1):
        value = {"identity": identity, "temperature_delta": 0.05, "top_p_delta": 0.0, "memory_write_boost": 0.02}
        return event("style-tables", value | {"verbosity_bias": 0.1, "cards": cards, "locked": locked}, identity)

    def state(primitive, state, identity="actor"):
        return event("attribution-states", {"identity": identity, "primitive": primitive, "state": state}, identity)

    def change(primitive, old, new, identity="actor"):
        value = {"kind": "state_changed", "identity": identity, "primitive": primitive, "old_state": old}
        return event("attribution-changes", value | {"new_state": new, "confidence": 0.5}, identity)

    def suspicion(*primitives, identity="actor"):
        value = {"kind": "multi_actor_suspected", "identity": identity, "primitives": list(primitives)}
        return event("attribution-changes", value | {"confidence": 0.6}, identity)

    def bond(user_id, phase="dormant", cap=0, count=1):
        value = {"user_id": user_id, "phase": phase, "risk_level": "low", "peak_nodes": {"n1": 0.5}}
        return event("bonds", value | {"daily_msg_cap": cap, "daily_msg_count": count}, user_id)

    def bond_event(detail, identity="ann"):
        return event("bond-events", {"identity": identity, "event_type": "ulm_spike", "detail": detail}, identity)

    def dead(topic="feedback", kind="malformed", error="rating: 7, expected 1 to 5"):
        return event(f"{topic}.dlq", {"kind": kind, "error": error})

    def gone(topic, key):
        return event(topic, None, key)

    return SimpleNamespace(**{name: made for name, made in locals().items() if callable(made)})
