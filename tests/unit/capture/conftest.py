"""The shipped heuristics, and rules made of single cues."""

from pathlib import Path

import pytest
import yaml

from endocrine import config
from endocrine.agents.capture.rules import HeuristicRules

SHIPPED = yaml.safe_load((Path(config.__file__).parent / "heuristics.yaml").read_text())


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
