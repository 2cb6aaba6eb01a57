"""One identity's records, as the audit hears them; its state is stored and read back each time."""

from typing import Any

import orjson
import pytest

from agent_runs import processed
from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.audit.agent import AGENT
from endocrine.agents.contract import Trigger
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy
from policies import policy_over

AUDITS = CATALOGUE["audits"].adapter
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
PROMPT = "Where does xylophone-prompt live?"
Record = tuple[str, str, dict[str, Any]]
"""Topic, id, value."""


class Records:
    """Records of a turn, each a topic, an id and a value."""

    @staticmethod
    def opened(turn: str = "t1", ts: float = 100.0, **more: Any) -> Record:
        value = {"kind": "opened", "audit_id": turn, "session_id": "s", "turn": 0, "client": "web", "prompt": PROMPT}
        return "interactions", f"{turn}-opened", {**value, "ts": ts, **more}

    @staticmethod
    def closed(turn: str = "t1", ts: float = 110.0, **more: Any) -> Record:
        value = {"kind": "closed", "audit_id": turn, "response": "xylophone-response", "ts": ts}
        return "interactions", f"{turn}-closed", {**value, **more}

    @staticmethod
    def modulation(turn: str = "t1", revision: int = 0, ts: float = 100.0, **more: Any) -> Record:
        parameters = {**PARAMETERS, **more.pop("parameters", {})}
        value = {
            "audit_id": turn,
            "revision": revision,
            "admitted": True,
            "refusal": None,
            "review": "none",
            "mode": parameters["safety_mode"],
            "parameters": parameters,
            "prompt_style": parameters["safety_mode"],
            "signals": [],
            "lineage": {
                name: [{"step": "default", "by": "defaults", "from": None, "to": to}] for name, to in parameters.items()
            },
            "policy": shipped_policy().digest,
            "ts": ts,
        }
        return "modulations", f"{turn}-modulation-{revision}", {**value, **more}

    @staticmethod
    def call(call: str = "c1", turn: str = "t1", ts: float = 101.0, **more: Any) -> Record:
        value = {"call_id": call, "audit_id": turn, "tool": "open_url", "arguments": {"url": "u"}, "step": 1, "ts": ts}
        return "tool-calls", f"{call}-call", {**value, **more}

    @staticmethod
    def decision(call: str = "c1", turn: str = "t1", ts: float = 101.0, **more: Any) -> Record:
        value = {
            "call_id": call,
            "audit_id": turn,
            "function": "open_url",
            "tool": "browser",
            "decision": "allowed",
            "reason": None,
            "incident_id": None,
            "policy": shipped_policy().digest,
            "ts": ts,
        }
        return "tool-decisions", f"{call}-decision-{more.get('decision')}", {**value, **more}

    @staticmethod
    def result(call: str = "c1", turn: str = "t1", ts: float = 102.0, **more: Any) -> Record:
        value = {
            "call_id": call,
            "audit_id": turn,
            "tool": "browser",
            "status": "ok",
            "duration_ms": 12.5,
            "args_summary": "url=u",
            "output": "xylophone-output",
            "ts": ts,
        }
        return "tool-results", f"{call}-result", {**value, **more}

    @staticmethod
    def late(turn: str = "t1", ts: float = 102.0) -> Record:
        value = {"audit_id": turn, "within_ms": 2000, "mode": "strict", "policy": shipped_policy().digest, "ts": ts}
        return "late-advice", f"late-{turn}", value

    @staticmethod
    def incident(incident: str = "i1", turn: str | None = "t1", ts: float = 101.0, **more: Any) -> Record:
        value = {
            "incident_id": incident,
            "kind": "tool_blocked",
            "audit_id": turn,
            "attempted": "open_url",
            "reason": "not_in_allowlist",
            "params_snapshot": {"allowlist": ["retrieval"], "mode": "strict"},
            "prompt_hmac": None,
            "policy": shipped_policy().digest,
            "ts": ts,
        }
        return "incidents", incident, {**value, **more}

    @staticmethod
    def request(request: str = "r1", turn: str = "t1", ts: float = 100.5, **more: Any) -> Record:
        value = {
            "request_id": request,
            "audit_id": turn,
            "step": 1,
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": PROMPT}],
            "tools": [],
            "parameters": {"temperature": 0.6, "reasoning_effort": "low", "instructions": PROMPT, "seed": 2**60},
            "dropped": ["top_p"],
            "deadline_ms": 1000,
            "ts": ts,
        }
        return "model-requests", request, {**value, **more}

    @staticmethod
    def reply(request: str = "r1", turn: str = "t1", ts: float = 100.9, **more: Any) -> Record:
        value = {
            "request_id": request,
            "audit_id": turn,
            "step": 1,
            "status": "ok",
            "content": "xylophone-content",
            "tool_calls": [],
            "finish_reason": "stop",
            "usage": {"input_tokens": 30, "output_tokens": 12},
            "model": "gpt-4o-mini-2",
            "latency_ms": 400.0,
            "error": None,
            "ts": ts,
        }
        return "model-replies", f"{request}-reply", {**value, **more}

    @staticmethod
    def command(kind: str, ts: float = 105.0, **more: Any) -> Record:
        return "commands", f"{kind}-{ts}", {"kind": kind, "by": "op", "ts": ts, **more}

    @staticmethod
    def tick(ts: float) -> Record:
        return "commands", f"tick-{ts}", {"kind": "tick", "by": "clock", "ts": ts}


class Ear:
    """Feeds records; every bundle is held against its model, every state stored, and none changed in place."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.state = policy, None

    def feed(self, *records: Record) -> list[dict[str, Any]]:
        """The bundles said, as their values."""
        return [bundle for record in records for bundle in self._one(record)]

    def _one(self, record: Record) -> list[dict[str, Any]]:
        topic, name, value = record
        model = CATALOGUE[topic].adapter.validate_json(orjson.dumps({"identity": "ann", **value}), strict=True)
        self.state, outputs = processed(AGENT, self.state, Trigger(topic, name, "ann", model), self.policy)
        said = []
        for output in outputs:
            assert (output.topic, output.identity) == ("audits", "ann")
            stored = AUDITS.validate_json(orjson.dumps({**output.value, "previous": None, "hash": "0" * 64}))
            rare = {"advice_late"} - output.value.keys()
            assert [*output.value, "previous", "hash"] == [one for one in type(stored).model_fields if one not in rare]
            said.append(orjson.loads(orjson.dumps(output.value)))
        return said


@pytest.fixture(scope="session")
def records() -> type[Records]:
    return Records


@pytest.fixture(scope="session")
def policy():
    """The shipped policy with some of its sections changed: `policy(audit={...}, gating={...})`."""

    def make(prompt_keys: PromptKeys | None = None, **sections: dict[str, Any]) -> Policy:
        return policy_over(sections, prompt_keys) if sections else shipped_policy()

    return make


@pytest.fixture(scope="session")
def ear(policy):
    """A new listener, by default under the shipped policy."""
    return lambda **sections: Ear(policy(**sections))
