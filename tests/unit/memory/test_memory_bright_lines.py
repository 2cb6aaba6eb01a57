"""What memory may never do, held on topics and on the import graph: it is read by people and by context, it steers
nothing, and nothing in it promotes itself."""

import ast
from pathlib import Path

import pytest

from agent_folders import folder_of
from endocrine import agents
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from import_graph import import_graph

MEMORY = ("reflection", "memory", "conflicts")
"""Agents whose decisions are about memories."""
OWN = {
    "captured": {"capture"},
    "memories": {"memory"},
    "memory-events": {"memory", "reflection"},
    "candidates": {"reflection"},
    "reinforcements": {"reflection"},
    "memory-orders": {"conflicts"},
    "conflict-marks": {"conflicts"},
    "conflicts": {"conflicts"},
    "conflict-events": {"conflicts"},
}
"""Who writes each topic of memory; nobody else does."""
OTHERS = sorted({agent.name for agent in AGENTS} - {*MEMORY, "capture", "trust"})


@pytest.fixture(scope="module")
def graph():
    return import_graph()


def agent_named(name):
    return next(agent for agent in AGENTS if agent.name == name)


@pytest.mark.parametrize("topic", OWN)
def test_a_topic_of_memory_is_written_by_its_own_agents_only(topic):
    assert {agent.name for agent in AGENTS if topic in agent.targets} == OWN[topic]
    assert CATALOGUE[topic].ours or not [agent for agent in AGENTS if topic in agent.sources]


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_reads_what_memory_writes(name):
    assert not set(agent_named(name).sources) & {*OWN, "facts"}


@pytest.mark.parametrize("name", [*MEMORY, "capture"])
def test_memory_writes_nothing_that_steers_a_turn_or_is_trusted(name):
    assert set(agent_named(name).targets) <= {*OWN, "rekeys", "erasure-events"}


def test_candidates_reach_the_memory_agent_and_nobody_else():
    assert [agent.name for agent in AGENTS if "candidates" in agent.sources] == ["memory"]


def test_conflicts_follow_trusted_state_and_never_write_it():
    assert [agent.name for agent in AGENTS if "state-events" in agent.sources] == ["conflicts"]
    assert {agent.name for agent in AGENTS if {"trusted-states", "state-events"} & set(agent.targets)} == {"trust"}


@pytest.mark.parametrize("topic", ["memories", "conflicts", "conflict-events"])
def test_what_is_for_views_is_read_by_no_agent(topic):
    assert [agent.name for agent in AGENTS if topic in agent.sources] == []


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_imports_a_decision_of_memory(graph, name):
    # One policy document holds every section, so that a chain to memory's numbers exists; to its decisions none.
    decisions = [
        module
        for package in (*MEMORY, "capture.agent", "capture.turns")
        for module in graph.find_descendants(f"endocrine.agents.{package}") | {f"endocrine.agents.{package}"}
        if not module.endswith(".rules") and module != "endocrine.agents.memory"
    ]
    assert len(decisions) >= 12
    for module in decisions:
        of = f"endocrine.agents.{folder_of(name)}"
        assert graph.find_shortest_chain(of, module, as_packages=True) is None, module


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_looks_at_memorys_section_of_the_policy(name):
    files = list((Path(agents.__file__).parent / folder_of(name)).glob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("memory", "capture"):
                of = node.value.attr if isinstance(node.value, ast.Attribute) else ""
                # `heuristics.capture` is what ingest leaves out; it was there before this section.
                assert of != "document", (file.name, node.lineno)


def test_nothing_but_commands_and_the_end_of_a_conflict_changes_a_status():
    source = (Path(agents.__file__).parent / "memory" / "agent.py").read_text()
    calls = {
        function.name
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_transition"
    }
    assert calls == {"process", "_retire"}
    # `process` hands it commands and orders only: a candidate, a reinforcement and a mark have functions of their own.
    assert calls & {"_create", "_reinforce", "_mark", "_update"} == set()
