"""One good record of every kind on every topic."""

from typing import Any

import pytest

D = "a" * 64
_TURN: dict[str, Any] = {"audit_id": "a1", "identity": "ann"}
_CALL = {"call_id": "c1", **_TURN}

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "opened": (
        "interactions",
        {
            "kind": "opened",
            **_TURN,
            "session_id": "s",
            "turn": 0,
            "client": "web",
            "project": "p",
            "model": "m",
            "prompt": "hello",
            "context_pack": "",
            "respond": True,
            "signals": [{"name": "stress", "level": 1.5, "ttl_ms": 0, "source": "typing"}],
            "ts": 1.5,
        },
    ),
    "closed": (
        "interactions",
        {
            "kind": "closed",
            **_TURN,
            "response": "",
            "response_summary": "x",
            "memories_used": [],
            "chunks_used": [{"id": 1}],
            "reinforce": False,
            "usage": {"input_tokens": 1, "output_tokens": 0},
            "ts": 2,
        },
    ),
    "signal": (
        "signals",
        {
            "identity": "ann",
            "name": "stress",
            "level": 0.5,
            "ttl_ms": 0,
            "source": "typing",
            "audit_id": "a1",
            "ts": 1.0,
        },
    ),
    "observation": (
        "observations",
        {
            "primitive": "motor.pace",
            "value": "fast",
            "confidence": 0.9,
            "window": {"start_ts": 1.0, "end_ts": 1.0},
            "source": "sensor",
            "evidence_ref": None,
            "identity_ref": "ann",
            "ts": 1.0,
            "id": "o1",
            "v": 1,
        },
    ),
    "tool call": ("tool-calls", {**_CALL, "tool": "open_url", "arguments": {"url": "x"}, "step": 1, "ts": 1.0}),
    "tool result": (
        "tool-results",
        {**_CALL, "tool": "browser", "status": "ok", "duration_ms": 1.5, "args_summary": "", "output": [1], "ts": 1.0},
    ),
    "card": (
        "feedback",
        {
            "identity": "ann",
            "target_action_id": "a1",
            "rating": 4,
            "note": "thanks",
            "context_hash": "h",
            "tags": ["t"],
            "symbols": ["affirm"],
            "ts": 1.0,
        },
    ),
    "detection": (
        "detections",
        {
            "identity": "ann",
            "phase": "imprint",
            "risk_level": "low",
            "childhood_archetype": "x",
            "egg_status": "none",
            "confidence": 1.0,
            "signals": ["s"],
            "turn_count": 3,
            "ulm": {"node": 0.5},
            "ts": 1.0,
        },
    ),
    "set cap": ("commands", {"kind": "set_cap", "identity": "ann", "by": "op", "ts": 1.0, "cap": 0}),
    "add note": ("commands", {"kind": "add_note", "identity": "ann", "by": "op", "ts": 1.0, "text": "n"}),
    "release lock": ("commands", {"kind": "release_lock", "identity": "ann", "by": "op", "ts": 1.0}),
    "approve": ("commands", {"kind": "approve", "identity": "ann", "by": "op", "ts": 1.0, "call_id": "c1"}),
    "deny": ("commands", {"kind": "deny", "identity": "ann", "by": "op", "ts": 1.0, "call_id": "c1"}),
    "modulation": (
        "modulations",
        {
            **_TURN,
            "revision": 0,
            "admitted": True,
            "refusal": None,
            "review": "none",
            "mode": "balanced",
            "parameters": {
                "temperature": 0.6,
                "top_p": 0.9,
                "max_output_tokens": 900,
                "reasoning_effort": 0.5,
                "retrieval_k": 6,
                "planner_beam": 2,
                "memory_write": 0.4,
                "safety_mode": "balanced",
                "tool_allowlist": ["retrieval", "browser"],
            },
            "prompt_style": "balanced",
            "signals": [{"name": "stabilize", "level": 1.0, "source": "homeostat", "ts": 1.0, "fate": "used"}],
            "lineage": {"top_p": [{"step": "default", "by": "policy", "from": None, "to": 0.9}]},
            "policy": D,
            "ts": 1.0,
        },
    ),
    "decision": (
        "tool-decisions",
        {
            **_CALL,
            "function": "rm",
            "tool": None,
            "decision": "denied",
            "reason": "unknown_tool",
            "incident_id": "i1",
            "policy": D,
            "ts": 1.0,
        },
    ),
    "incident": (
        "incidents",
        {
            "incident_id": "i1",
            "kind": "tool_blocked",
            **_TURN,
            "attempted": "rm",
            "reason": "unknown_tool",
            "params_snapshot": {"allowlist": ["retrieval"], "mode": "strict"},
            "prompt_hmac": None,
            "policy": D,
            "ts": 1.0,
        },
    ),
    "style table": (
        "style-tables",
        {
            "identity": "ann",
            "temperature_delta": 0.05,
            "top_p_delta": -0.2,
            "memory_write_boost": 0.0,
            "verbosity_bias": 0.3,
            "cards": 1,
            "intents": {"affirm": 0, "reject": 0, "more_detail": 0, "soften": 0, "ground": 0},
            "locked": False,
            "unknown_actions": 0,
            "ts": 1.0,
        },
    ),
    "attribution state": (
        "attribution-states",
        {
            "identity": "ann",
            "primitive": "p",
            "state": "stable",
            "current_value": [1],
            "confidence": 1.0,
            "observation_count": 3,
            "last_change_ts": 1.0,
            "last_observation_ts": 2.0,
        },
    ),
    "state change": (
        "attribution-changes",
        {
            "kind": "state_changed",
            "identity": "ann",
            "primitive": "p",
            "old_state": "unknown",
            "new_state": "stable",
            "current_value": None,
            "confidence": 1.0,
            "observation_count": 3,
            "ts": 1.0,
        },
    ),
    "suspicion": (
        "attribution-changes",
        {"kind": "multi_actor_suspected", "identity": "ann", "primitives": ["a", "b"], "confidence": 0.6, "ts": 1.0},
    ),
    "bond": (
        "bonds",
        {
            "user_id": "ann",
            "phase": "dormant",
            "prev_phase": "dormant",
            "archetype": "unknown",
            "phase_entered_at": 0.0,
            "turn_count": 0,
            "peak_nodes": {"n": 0.5},
            "risk_level": "low",
            "daily_msg_cap": 0,
            "daily_msg_count": 0,
            "daily_msg_reset_at": 0.0,
            "egg_status": "none",
            "notes": ["2024-01-01 00:00 n"],
            "last_updated": 0.0,
        },
    ),
    "bond event": (
        "bond-events",
        {"identity": "ann", "timestamp": 1.0, "event_type": "ulm_spike", "detail": "d", "data": {"old": 0, "new": 1}},
    ),
    "policy": ("policies", {"digest": D, "policy": {}, "previous": None, "by": "op", "ts": 1.0}),
    "model request": (
        "model-requests",
        {
            "request_id": "r",
            **_TURN,
            "step": 1,
            "model": "m",
            "messages": [{"role": "user"}],
            "tools": [],
            "parameters": {},
            "dropped": ["temperature"],
            "deadline_ms": 1000,
            "ts": 1.0,
        },
    ),
    "model reply": (
        "model-replies",
        {
            "request_id": "r",
            **_TURN,
            "step": 1,
            "status": "ok",
            "content": None,
            "tool_calls": [{"call_id": "c", "tool": "open_url", "arguments": "{}"}],
            "finish_reason": "stop",
            "usage": {"input_tokens": 1, "output_tokens": 1},
            "model": "m",
            "latency_ms": 1,
            "error": None,
            "ts": 1.0,
        },
    ),
    "task": ("scheduled-tasks", {**_CALL, "when": "soon", "note": "n", "ts": 1.0}),
    "analytics": (
        "tool-analytics",
        {
            "tool": "browser",
            "window_s": 86400,
            "count": 1,
            "ok": 1,
            "error": 0,
            "blocked": 0,
            "p50_ms": 1.0,
            "p95_ms": None,
            "modes": {"strict": 0, "balanced": 1, "creative": 0},
            "ts": 1.0,
        },
    ),
    "journal entry": (
        "journal",
        {
            "agent": "gating",
            "partition": 0,
            "batch": 1,
            "runs": [["interactions", 0, 2]],
            "inputs": D,
            "previous": None,
            "policy": D,
            "version": "0.1.0",
            "claim": 0,
        },
    ),
    "audit": ("audits", {"identity": "ann", "audit_id": "a1", "ts": 1.0, "previous": None, "hash": D}),
}


@pytest.fixture(params=GOOD, ids=list(GOOD))
def good(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Topic and value, one kind after another."""
    return GOOD[request.param]


@pytest.fixture(scope="session")
def records() -> dict[str, tuple[str, dict[str, Any]]]:
    """All of them by kind."""
    return GOOD
