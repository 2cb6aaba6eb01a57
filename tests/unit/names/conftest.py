"""The registry fed command by command, through the bytes that its states are stored as."""

import orjson
import pytest

from endocrine.agents.contract import Trigger
from endocrine.agents.names.agent import AGENT
from endocrine.pipeline.core.name_table import NameTable
from endocrine.schemas.commands import RegisterName, ReleaseName
from endocrine.schemas.names import RegisteredName, RegistryEvent

MODELS = {"registry": RegisteredName, "registry-events": RegistryEvent}


class Registry:
    """Its states by key, and the table that readers of topic `registry` make of its records."""

    def __init__(self):
        self.states = {}
        self.table = {}
        self.fed = 0

    def register(self, name, registered_id=None, scope="project", **more):
        """(kind, holder, reason) of the event, None where nothing is said."""
        given = {"name": name, "registered_id": registered_id or name, "scope": scope, **more}
        return self._feed(RegisterName, kind="register_name", **given)

    def release(self, name, scope="project", **more):
        return self._feed(ReleaseName, kind="release_name", name=name, scope=scope, **more)

    def _feed(self, model, **given):
        self.fed += 1
        value = model(**{"identity": "$registry", "by": "op", "ts": 1.0, "effective_from": 1.0, **given})
        trigger = Trigger("commands", f"c{self.fed}", value.identity, value)
        key = AGENT.key(trigger)
        before = orjson.dumps(self.states.get(key))
        after, outputs = AGENT.process(self.states.get(key), trigger, None)
        assert orjson.dumps(self.states.get(key)) == before, "process changed the state it was given"
        self.states[key] = orjson.loads(orjson.dumps(after))
        for output in outputs:
            MODELS[output.topic].model_validate(orjson.loads(orjson.dumps(output.value)))
            assert list(output.value) == list(MODELS[output.topic].model_fields)
            assert output.identity == "$registry"
            if output.topic == "registry":
                self.table[output.value["scope"], output.value["name"].lower()] = output.value
        assert [output.topic for output in outputs] in ([], ["registry-events"], ["registry", "registry-events"])
        if not outputs:
            return None
        event = outputs[-1].value
        assert event["command_id"] == f"c{self.fed}"
        return event["kind"], event["holder"], event["reason"]


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture(scope="session")
def new_registry():
    return Registry


@pytest.fixture(scope="session")
def new_table():
    """Makes a table with the identity `Ann`, alias `a.s.`, and the project `p05-x`, alias `p05`."""

    def made():
        table = NameTable()
        for scope, name, registered_id in (
            ("identity", "Ann", "Ann"),
            ("identity", "a.s.", "Ann"),
            ("project", "p05-x", "p05-x"),
            ("project", "p05", "p05-x"),
        ):
            value = {"scope": scope, "name": name, "registered_id": registered_id, "description": None, "roots": None}
            value |= {"kind": "id" if name == registered_id else "alias", "effective_from": 1.0, "released_from": None}
            table.apply(f"{scope}/{name}".encode(), orjson.dumps({**value, "by": "op", "ts": 1.0}))
        return table

    return made
