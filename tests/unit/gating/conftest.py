"""The gate with the shipped values, and records in one line each."""

import orjson
import pytest

from agent_runs import processed
from endocrine.agents.contract import Trigger
from endocrine.agents.gating.agent import AGENT
from endocrine.schemas.commands import Approve, Deny, Tick
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import Incident, ToolCall, ToolDecision, ToolResult
from policies import shipped_section, tool_policy

MODELS = {"tool-decisions": ToolDecision, "incidents": Incident}


@pytest.fixture(scope="session")
def shipped():
    return shipped_section


@pytest.fixture(scope="session")
def make_policy():
    """See `policies.tool_policy`."""
    return tool_policy


class Gate:
    """Feeds records one by one, through the bytes that state is stored as, and checks every output's model."""

    def __init__(self, policy):
        self.policy = policy
        self.state = None
        self.fed = 0
        self.appended = None

    def feed(self, topic, value, id=None, policy=None, appended=None, sealed=False):
        self.fed += 1
        appended = self.appended if appended is None else appended
        trigger = Trigger(topic, id or f"{topic}/{self.fed}", value.identity, value, appended, sealed)
        self.state, outputs = processed(AGENT, self.state, trigger, policy or self.policy)
        for output in outputs:
            assert output.topic in AGENT.targets
            assert output.identity == value.identity
            model = MODELS[output.topic]
            whole = model.model_validate(orjson.loads(orjson.dumps(output.value)))
            assert list(output.value) == [name for name in model.model_fields if name in output.value]
            assert whole.model_dump(exclude_unset=True) == output.value
            assert {name for name, field in model.model_fields.items() if field.is_required()} <= set(output.value)
        return [output.value for output in outputs]

    def open(self, audit_id="t1", prompt="What is a peptide?", respond=None, ts=100.0, **more):
        value = Opened(
            kind="opened",
            audit_id=audit_id,
            identity="ann",
            session_id="s",
            turn=0,
            client="c",
            prompt=prompt,
            respond=respond,
            ts=ts,
        )
        return self.feed("interactions", value, **more)

    def close(self, audit_id="t1", ts=110.0, **more):
        value = Closed(kind="closed", audit_id=audit_id, identity="ann", response="done", ts=ts)
        return self.feed("interactions", value, **more)

    def result(self, tool="browser", status="ok", call_id="c", audit_id="t1", ts=106.0, output=None, **more):
        value = ToolResult(
            call_id=call_id,
            audit_id=audit_id,
            identity="ann",
            tool=tool,
            status=status,
            duration_ms=1.0,
            args_summary="",
            output=output,
            ts=ts,
        )
        return self.feed("tool-results", value, **more)

    def approve(self, call_id, ts=120.0, **more):
        value = Approve(kind="approve", identity="ann", by="op", call_id=call_id, ts=ts)
        return self.feed("commands", value, **more)

    def deny(self, call_id, ts=120.0, **more):
        return self.feed("commands", Deny(kind="deny", identity="ann", by="op", call_id=call_id, ts=ts), **more)

    def tick(self, ts):
        return self.feed("commands", Tick(kind="tick", identity="ann", by="timekeeper", ts=ts))

    def modulate(self, audit_id="t1", revision=0, allowlist=("retrieval", "browser"), mode="balanced", refusal=None):
        parameters = {
            "temperature": 0.6,
            "top_p": 0.9,
            "max_output_tokens": 900,
            "reasoning_effort": 0.5,
            "retrieval_k": 6,
            "planner_beam": 2,
            "memory_write": 0.4,
            "safety_mode": mode,
            "tool_allowlist": list(allowlist),
        }
        value = Modulation(
            audit_id=audit_id,
            identity="ann",
            revision=revision,
            admitted=refusal is None,
            refusal=refusal,
            review="none",
            mode=mode,
            parameters=parameters,
            prompt_style=mode,
            signals=[],
            lineage={},
            policy="0" * 64,
            ts=100.0,
        )
        return self.feed("modulations", value)

    def call(self, tool="retrieve_knowledge", arguments=None, call_id=None, audit_id="t1", step=1, ts=105.0, **more):
        value = ToolCall(
            call_id=call_id or f"c{self.fed}",
            audit_id=audit_id,
            identity="ann",
            tool=tool,
            arguments={"query": "peptides"} if arguments is None else arguments,
            step=step,
            ts=ts,
        )
        return self.feed("tool-calls", value, **more)


@pytest.fixture
def gate(make_policy):
    return Gate(make_policy())


@pytest.fixture(scope="session")
def make_gate(make_policy):
    return lambda **policy: Gate(make_policy(**policy))


@pytest.fixture
def ready(gate):
    """A gate with turn t1 open and modulated: balanced, retrieval and browser."""
    gate.open()
    gate.modulate()
    return gate
