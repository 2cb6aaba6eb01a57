"""Feedback with the shipped values, and records in one line each."""

from types import SimpleNamespace

import orjson
import pytest

from agent_runs import processed
from endocrine.agents.contract import Trigger
from endocrine.agents.feedback.agent import AGENT
from endocrine.agents.feedback.rules import FeedbackRules
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.schemas.commands import AddNote, ReleaseLock
from endocrine.schemas.feedback import FeedbackCard, StyleTable
from endocrine.schemas.modulations import Modulation, Parameters
from endocrine.schemas.tools import Incident
from policies import shipped_section

MODELS = {"style-tables": StyleTable, "incidents": Incident}
SHIPPED = shipped_section("feedback")


@pytest.fixture(scope="session")
def shipped():
    return SHIPPED


@pytest.fixture(scope="session")
def rules():
    return FeedbackRules.model_validate(SHIPPED)


class Listener:
    """Feeds records one by one, through the bytes that state is stored as, and checks every output's model."""

    def __init__(self, **rules):
        section = FeedbackRules.model_validate({**SHIPPED, **rules})
        shipped = shipped_policy().document
        others = {name: getattr(shipped, name) for name in ("moderation", "prompt_styles", "defaults")}
        self.policy = SimpleNamespace(digest="0" * 64, document=SimpleNamespace(feedback=section, **others))
        self.state = None
        self.fed = 0

    def feed(self, topic, value, id=None):
        self.fed += 1
        trigger = Trigger(topic, id or f"{topic}/{self.fed}", value.identity, value)
        self.state, outputs = processed(AGENT, self.state, trigger, self.policy)
        for output in outputs:
            assert output.topic in AGENT.targets
            model = MODELS[output.topic]
            whole = model.model_validate(orjson.loads(orjson.dumps(output.value)))
            assert list(output.value) == [name for name in model.model_fields if name in output.value]
            assert whole.model_dump(exclude_unset=True) == output.value
        return [output.value for output in outputs]

    def card(self, rating, ts=1000.0, turn="t1", id=None, **more):
        value = FeedbackCard(identity="ann", target_action_id=turn, rating=rating, ts=ts, **more)
        return self.feed("feedback", value, id)

    def modulate(self, turn="t1", mode="balanced", revision=0, allowlist=("retrieval",)):
        parameters = Parameters(
            temperature=0.6,
            top_p=0.9,
            max_output_tokens=900,
            reasoning_effort=0.5,
            retrieval_k=6,
            planner_beam=2,
            memory_write=0.4,
            safety_mode=mode,
            tool_allowlist=list(allowlist),
        )
        value = Modulation(
            audit_id=turn,
            identity="ann",
            revision=revision,
            admitted=True,
            refusal=None,
            review="none",
            mode=mode,
            parameters=parameters,
            prompt_style=mode,
            signals=[],
            lineage={},
            policy="0" * 64,
            ts=900.0,
        )
        return self.feed("modulations", value)

    def incident(self, turn="t1", kind="tool_blocked", mode="balanced", allowlist=("retrieval", "browser")):
        value = Incident(
            incident_id="i",
            kind=kind,
            audit_id=turn,
            identity="ann",
            attempted="open_url",
            reason="not_in_allowlist",
            params_snapshot={"allowlist": list(allowlist), "mode": mode},
            prompt_hmac=None,
            policy="0" * 64,
            ts=950.0,
        )
        return self.feed("incidents", value)

    def hear(self, incident):
        """An incident as it was said."""
        return self.feed("incidents", Incident.model_validate(incident))

    def release(self, ts=5000.0, id=None):
        return self.feed("commands", ReleaseLock(kind="release_lock", identity="ann", by="op", ts=ts), id)

    def note(self):
        return self.feed("commands", AddNote(kind="add_note", identity="ann", by="op", ts=1.0, text="x"))


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture(scope="session")
def make_listener():
    return Listener
