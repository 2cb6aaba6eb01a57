"""The conversation agent with the shipped policy, and records in one line each."""

from types import SimpleNamespace

import orjson
import pytest

from agent_runs import processed
from endocrine.agents.contract import Trigger
from endocrine.agents.conversation.agent import AGENT
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy

RARE = ("runner", "stream", "asked", "enforce", "door")
"""Fields that a record has only where an application gave what they are about."""


def _with(**sections):
    """The shipped policy with fields of sections replaced: `budget={"limit": 10}`, `guardian={...}` ."""
    shipped = shipped_policy()
    document = shipped.document
    changed = {}
    for name, fields in sections.items():
        if name in ("limits", "waits", "retrieval", "guardian", "words"):
            conversation = changed.get("conversation", document.conversation)
            part = getattr(conversation, name).model_copy(update=fields)
            changed["conversation"] = conversation.model_copy(update={name: part})
        else:
            changed[name] = getattr(document, name).model_copy(update=fields)
    return SimpleNamespace(digest="0" * 64, document=document.model_copy(update=changed))


class Talk:
    """Feeds records one by one, through the bytes that state is stored as, and checks every output's model."""

    def __init__(self, policy, identity="ann"):
        self.policy = policy
        self.identity = identity
        self.state = None
        self.fed = 0
        self.said = []

    def feed(self, topic, id=None, sealed=True, **fields):
        self.fed += 1
        value = CATALOGUE[topic].validate({"identity": self.identity, **fields})
        trigger = Trigger(topic, id or f"{topic}/{self.fed}", self.identity, value, None, sealed)
        self.state, outputs = processed(AGENT, self.state, trigger, self.policy)
        for output in outputs:
            assert output.topic in AGENT.targets
            model = type(CATALOGUE[output.topic].validate(orjson.loads(orjson.dumps(output.value))))
            named = [name for name, field in model.model_fields.items() if name in output.value or name not in RARE]
            assert list(output.value) == [name for name in named if name != "id"]
        said = [(output.topic, output.value) for output in outputs]
        self.said += said
        return said

    def open(self, audit_id="t1", prompt="Which of the two guides comes first?", ts=100.0, **more):
        fields = {"session_id": "s", "turn": 0, "client": "c", "respond": True, **more}
        return self.feed("interactions", kind="opened", audit_id=audit_id, prompt=prompt, ts=ts, **fields)

    def modulate(self, audit_id="t1", revision=0, ts=100.0, mode="balanced", tools=("browser",), risk=None, **more):
        parameters = {
            "temperature": 0.6,
            "top_p": 0.9,
            "max_output_tokens": 900,
            "reasoning_effort": 0.5,
            "retrieval_k": 6,
            "planner_beam": 2,
            "memory_write": 0.4,
            "safety_mode": mode,
            "tool_allowlist": list(tools),
            **more.pop("parameters", {}),
        }
        refusal = more.pop("refusal", None)
        signal = {"name": "alignment_risk", "level": risk, "source": "x", "ts": ts, "fate": more.pop("fate", "used")}
        return self.feed(
            "modulations",
            audit_id=audit_id,
            revision=revision,
            admitted=refusal is None,
            refusal=refusal,
            review="required" if refusal == "held" else "none",
            mode=mode,
            parameters=parameters,
            prompt_style=mode,
            signals=[] if risk is None else [signal],
            lineage={},
            policy="0" * 64,
            ts=ts,
            **more,
        )

    def hold(self, revision=0, expires=1000.0, **more):
        return self.modulate(revision=revision, refusal="held", expires=expires, risk=0.95, **more)

    def reply(self, request_id="t1/1", content=None, calls=(), ts=101.0, audit_id="t1", **more):
        fields = {"status": "ok", "finish_reason": "stop", "usage": {"input_tokens": 20, "output_tokens": 10}}
        return self.feed(
            "model-replies",
            request_id=request_id,
            audit_id=audit_id,
            step=1,
            content=content,
            tool_calls=[{"call_id": "x", "tool": tool, "arguments": arguments} for tool, arguments in calls],
            **{**fields, "model": "m", "latency_ms": 5.0, "error": None, "ts": ts, **more},
        )

    def decide(self, call_id, decision="allowed", reason=None, incident_id=None, ts=101.0, audit_id="t1", **more):
        return self.feed(
            "tool-decisions",
            call_id=call_id,
            audit_id=audit_id,
            decision=decision,
            reason=reason,
            incident_id=incident_id,
            policy="0" * 64,
            ts=ts,
            **{"function": "open_url", "tool": "browser", **more},
        )

    def result(self, call_id, output="page", status="ok", ts=102.0, audit_id="t1"):
        fields = {"tool": "browser", "duration_ms": 1.0, "args_summary": ""}
        return self.feed(
            "tool-results", call_id=call_id, audit_id=audit_id, status=status, output=output, ts=ts, **fields
        )

    def tick(self, ts):
        return self.feed("commands", kind="tick", by="timekeeper", ts=ts)

    def of(self, topic):
        return [value for name, value in self.said if name == topic]

    @property
    def closed(self):
        return self.of("interactions")

    @property
    def requests(self):
        return self.of("model-requests")


@pytest.fixture(scope="session")
def policy_with():
    return _with


@pytest.fixture(scope="session")
def make_talk():
    return lambda **sections: Talk(_with(**sections))


@pytest.fixture
def talk(make_talk):
    """Without the search before the first step."""
    return make_talk(retrieval={"enabled": False})


@pytest.fixture
def asking(talk):
    """Turn t1: the model is asked its first step."""
    talk.open()
    talk.modulate()
    assert [request["request_id"] for request in talk.requests] == ["t1/1"]
    return talk
