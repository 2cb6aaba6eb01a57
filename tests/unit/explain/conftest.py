"""An explained turn of the bundled scenario, as simulated."""

import dataclasses
from functools import cache

import orjson
import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.explain.find import Decided, Explained


@cache
def _bundles():
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    said = [derived for line in scenario.lines() for derived in simulation.feed(orjson.dumps(line))]
    return [orjson.loads(value) for topic, _, value, _ in said if topic == "audits"]


@pytest.fixture(scope="session")
def bundles():
    """All bundles and supplements of the scenario."""
    return _bundles()


@pytest.fixture
def explained(bundles):
    """Turn `name` with its supplements; fields of the bundle may be given anew."""

    def make(name="ann-turn-3", **changed) -> Explained:
        first, *rest = [orjson.loads(orjson.dumps(one)) for one in bundles if one["audit_id"] == name]
        decided = [Decided("modulations", "m1", "modulation/0/7", "0.1.0", "d"), Decided("incidents", "i1")]
        return dataclasses.replace(Explained(first, rest, decided), bundle={**first, **changed})

    return make
