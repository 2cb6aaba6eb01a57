"""The bright line of rules 5: attribution never reaches the modulation or the gate, by topic or by import."""

from importlib import import_module

import pytest

from import_graph import import_graph

REGULATING = ["modulation", "gating", "feedback", "bonds"]
ATTRIBUTING = ["attribution", "suspicion"]
THOUGHTS = [
    "endocrine.agents.attribution.agent",
    "endocrine.agents.attribution.mergers",
    "endocrine.agents.attribution.series",
    "endocrine.agents.attribution.values",
    "endocrine.agents.suspicion.agent",
]


def agent(name):
    return import_module(f"endocrine.agents.{name}.agent").AGENT


@pytest.fixture(scope="module")
def imports():
    return import_graph()


@pytest.mark.parametrize("name", REGULATING)
def test_no_regulating_agent_reads_what_attribution_says_however_far_it_travels(name):
    spoken = set()
    readers = set(ATTRIBUTING)
    while True:
        more = {topic for reader in readers for topic in agent(reader).targets}
        further = {other for other in [*REGULATING, *ATTRIBUTING] if set(agent(other).sources) & more}
        if more <= spoken and further <= readers:
            break
        spoken |= more
        readers |= further
    assert spoken == {"attribution-states", "attribution-changes"}
    assert name not in readers
    assert not set(agent(name).sources) & spoken


def test_attribution_reads_observations_only_and_writes_its_own_topics_only():
    assert agent("attribution").sources == ("observations",)
    assert agent("suspicion").sources == ("attribution-changes",)


@pytest.mark.parametrize("name", REGULATING)
def test_no_regulating_agent_imports_anything_of_attribution(imports, name):
    own = {f"endocrine.agents.{name}"} | imports.find_descendants(f"endocrine.agents.{name}")
    forbidden = {f"endocrine.agents.{other}" for other in ATTRIBUTING}
    forbidden |= {module for other in ATTRIBUTING for module in imports.find_descendants(f"endocrine.agents.{other}")}
    direct = {(module, imported) for module in own for imported in imports.find_modules_directly_imported_by(module)}
    assert [pair for pair in direct if pair[1] in forbidden] == []


@pytest.mark.parametrize("name", REGULATING)
def test_no_chain_of_imports_leads_from_a_regulating_agent_to_the_thoughts_of_attribution(imports, name):
    """The policy's document holds the thresholds (`attribution.rules`), and nothing else of the package."""
    for thought in THOUGHTS:
        assert thought in imports.modules
        chain = imports.find_shortest_chain(importer=f"endocrine.agents.{name}.agent", imported=thought)
        assert chain is None, chain


def test_only_the_thresholds_of_attribution_are_imported_from_outside(imports):
    allowed = {"endocrine.agents.attribution", "endocrine.agents.attribution.rules"}
    for thought in sorted(imports.find_descendants("endocrine.agents.attribution") - allowed):
        importers = imports.find_modules_that_directly_import(thought)
        outside = {module for module in importers if not module.startswith("endocrine.agents.attribution.")}
        # Beside it stands what moves states to another name: it is no source of any decision.
        assert outside <= {"endocrine.agents.registry", "endocrine.agents.rekeying"}, (thought, outside)
