"""What the tests of attribution share: the shipped policy, observations, and a fold that stores the state between."""

import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from agent_runs import processed
from endocrine.agents.attribution.agent import AGENT
from endocrine.agents.attribution.rules import AttributionRules, Primitives
from endocrine.agents.contract import Trigger
from endocrine.pipeline.core.catalogue import CATALOGUE
from policies import shipped_section

PRIMITIVE = {
    "categorical": "motor.keystroke_cadence",
    "numeric": "meta.msg_per_day",
    "hash": "toolchain.payload.payload_simhash",
    "array": "no.such.array",
}


def _policy(**changes: Any) -> SimpleNamespace:
    rules = AttributionRules.model_validate(shipped_section("attribution") | changes)
    primitives = TypeAdapter(Primitives).validate_python(shipped_section("primitives"))
    return SimpleNamespace(digest="0" * 64, document=SimpleNamespace(attribution=rules, primitives=primitives))


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., Any]:
    """The shipped policy, with whole sub-sections replaced: make_policy(hash={...})."""
    return _policy


@pytest.fixture(scope="session")
def policy() -> Any:
    return _policy()


def _observe(value: Any, ts: float, id: str, primitive: str = PRIMITIVE["categorical"]) -> Trigger:
    record = {
        "primitive": PRIMITIVE.get(primitive, primitive),
        "value": value,
        "confidence": 0.5,
        "window": {"start_ts": ts, "end_ts": ts},
        "source": "test/sensor",
        "identity_ref": "ann",
        "ts": ts,
        "id": id,
        "v": 1,
    }
    valid = CATALOGUE["observations"].adapter.validate_json(json.dumps(record))
    return Trigger("observations", id, "ann", valid)


@pytest.fixture(scope="session")
def observe() -> Callable[..., Trigger]:
    """observe(value, ts, id, kind or primitive): a validated observation of ann."""
    return _observe


class Folded:
    """A series run through the agent: state as stored, and what was said."""

    def __init__(self, policy: Any, observations: Iterable[Trigger], state: Any = None) -> None:
        self.state = state
        self.states: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        for observation in observations:
            self.state, outputs = processed(AGENT, self.state, observation, policy)
            for output in outputs:
                assert output.identity == "ann"
                CATALOGUE[output.topic].adapter.validate_json(orjson.dumps(output.value))
                kept = self.states if output.topic == "attribution-states" else self.changes
                kept.append(dict(output.value))

    @property
    def last(self) -> dict[str, Any]:
        return self.states[-1]

    def path(self) -> list[tuple[str, str]]:
        return [(change["old_state"], change["new_state"]) for change in self.changes]


@pytest.fixture(scope="session")
def fold() -> type[Folded]:
    return Folded
