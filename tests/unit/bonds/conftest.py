"""The ledger with the shipped values, and records in one line each."""

from types import SimpleNamespace

import orjson
import pytest

from agent_runs import processed
from endocrine.agents.bonds.agent import AGENT
from endocrine.agents.bonds.rules import BondRules
from endocrine.agents.contract import Trigger
from endocrine.schemas.bonds import Bond, BondEvent, Detection, TakenEvent
from endocrine.schemas.commands import AddNote, AdoptBond, ReleaseLock, SetCap
from endocrine.schemas.modulations import Modulation
from policies import shipped_section

MODELS = {"bonds": Bond, "bond-events": BondEvent}
SHIPPED = shipped_section("bonds")


class Ledger:
    """Feeds records one by one, through the bytes that state is stored as, and checks every output's model."""

    def __init__(self, **rules):
        section = BondRules.model_validate({**SHIPPED, **rules})
        self.policy = SimpleNamespace(digest="0" * 64, document=SimpleNamespace(bonds=section))
        self.state = None
        self.fed = 0

    def feed(self, topic, value, id=None):
        """The events (type, detail, data), and the entry or None."""
        self.fed += 1
        trigger = Trigger(topic, id or f"{topic}/{self.fed}", value.identity, value)
        self.state, outputs = processed(AGENT, self.state, trigger, self.policy)
        for output in outputs:
            assert output.topic in AGENT.targets
            model = MODELS[output.topic]
            whole = model.model_validate(orjson.loads(orjson.dumps(output.value)))
            assert list(output.value) == [name for name in model.model_fields if name in output.value]
            assert whole.model_dump(exclude_unset=True) == output.value
        if isinstance(value, AdoptBond):
            return [output.value for output in outputs]
        assert [output.topic for output in outputs] == ["bond-events"] * (len(outputs) - 1) + ["bonds"] * bool(outputs)
        events = [output.value for output in outputs[:-1]]
        assert all((event["identity"], event["timestamp"]) == ("ann", value.ts) for event in events)
        assert all(set(event["data"]) == {"old", "new"} for event in events)
        entry = outputs[-1].value if outputs else None
        return [(event["event_type"], event["detail"], event["data"]) for event in events], entry

    def detect(self, phase="dormant", risk="low", ulm=None, ts=1000.0, archetype="a", egg="e", turns=1, **more):
        value = Detection(
            identity="ann",
            phase=phase,
            risk_level=risk,
            childhood_archetype=archetype,
            egg_status=egg,
            confidence=0.5,
            signals=[],
            turn_count=turns,
            ulm=ulm or {},
            ts=ts,
        )
        return self.feed("detections", value, **more)

    def message(self, ts, admitted=True, revision=0, refusal=None, audit_id="t"):
        value = Modulation.model_construct(
            audit_id=audit_id, identity="ann", revision=revision, admitted=admitted, refusal=refusal, ts=ts
        )
        return self.feed("modulations", value)

    def set_cap(self, cap, ts=1000.0, **more):
        return self.feed("commands", SetCap(kind="set_cap", identity="ann", by="op", ts=ts, cap=cap), **more)

    def note(self, text, ts=1000.0, **more):
        return self.feed("commands", AddNote(kind="add_note", identity="ann", by="op", ts=ts, text=text), **more)

    def adopt(self, entry, events=(), part=1, parts=1, replace=False, ts=2000.0, **more):
        """All outputs' values."""
        value = AdoptBond(
            kind="adopt_bond",
            identity="ann",
            by="op",
            ts=ts,
            entry=entry,
            events=[TakenEvent.model_validate(event) for event in events],
            part=part,
            parts=parts,
            replace=replace,
        )
        return self.feed("commands", value, **more)

    def release(self):
        return self.feed("commands", ReleaseLock(kind="release_lock", identity="ann", by="op", ts=1.0))


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture(scope="session")
def make_ledger():
    return Ledger
