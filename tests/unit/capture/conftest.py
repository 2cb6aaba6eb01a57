"""The shipped heuristics, and rules made of single cues."""

import pytest

from endocrine.agents.capture.rules import HeuristicRules
from policies import shipped_section

SHIPPED = shipped_section("heuristics")


@pytest.fixture(scope="session")
def rules():
    return HeuristicRules.model_validate(SHIPPED)


@pytest.fixture(scope="session")
def rules_with():
    """Rules in which each signal has the cues given and no others."""

    def make(**changes):
        empty = {"ambiguity": [], "urgency": [], "novelty": [], "trust": []}
        return HeuristicRules.model_validate({**SHIPPED, **empty, **changes})

    return make
