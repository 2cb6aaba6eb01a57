"""What linkage may never do, held on topics and on the import graph: it steers nothing, merges nothing, applies nothing
by itself."""

import ast
import random
from pathlib import Path

import orjson
import pytest

import histories
from agent_folders import folder_of
from endocrine import agents
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.records import CUT, ORIGIN, SEAL
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from import_graph import import_graph
from linked import POLICY

OWN = {
    "link-evidence": {"evidence"},
    "link-hints": {"meeting"},
    "identity-links": {"linkage"},
    "link-events": {"linkage"},
}
"""Who writes each topic of linkage; nobody else does."""
LINKAGE = ("evidence", "meeting", "linkage")
OTHERS = sorted({agent.name for agent in AGENTS} - set(LINKAGE))
SOURCES = {
    "evidence": ("observations",),
    "meeting": ("link-evidence",),
    "linkage": ("link-hints", "commands"),
}


@pytest.fixture(scope="module")
def graph():
    return import_graph()


@pytest.mark.parametrize("topic", OWN)
def test_a_topic_of_linkage_is_written_by_its_own_agent_only(topic):
    assert {agent.name for agent in AGENTS if topic in agent.targets} == OWN[topic]
    assert CATALOGUE[topic].ours


def test_linkage_reads_what_it_needs_and_nothing_else():
    found = {agent.name: agent.sources for agent in AGENTS if agent.name in LINKAGE}
    # The commands that erase lie apart for agents that read no others.
    assert {name: tuple(one for one in sources if one != "erasures") for name, sources in found.items()} == SOURCES


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_reads_what_linkage_writes(name):
    (agent,) = (agent for agent in AGENTS if agent.name == name)
    assert not set(agent.sources) & set(OWN)


@pytest.mark.parametrize("name", LINKAGE)
def test_linkage_writes_nothing_but_its_own_topics(name):
    (agent,) = (agent for agent in AGENTS if agent.name == name)
    assert set(agent.targets) <= {*OWN, "erasure-events", "rekeys"}


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_imports_a_decision_of_linkage(graph, name):
    decisions = [
        module
        for package in LINKAGE
        for module in graph.find_descendants(f"endocrine.agents.{package}")
        if not module.endswith(".rules")
    ]
    assert len(decisions) >= 6
    for module in decisions:
        of = f"endocrine.agents.{folder_of(name)}"
        assert graph.find_shortest_chain(of, module, as_packages=True) is None, module


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_agent_looks_at_linkages_section_of_the_policy(name):
    files = list((Path(agents.__file__).parent / folder_of(name)).glob("*.py"))
    assert files
    for file in files:
        used = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert "linkage" not in used, file


def derived(lines):
    """Everything that the lines lead to, by topic; without headers that name offsets, as commands shift them."""
    run = Simulation(AGENTS, POLICY, version="0", sizes=Sizes(), partitions=2)
    found = {}
    for line in lines:
        for topic, key, value, headers in run.feed(orjson.dumps(line)):
            kept = {name: content for name, content in dict(headers).items() if name not in (ORIGIN, CUT, SEAL)}
            found.setdefault(topic, []).append((key, value, kept))
    return found


def test_a_link_that_is_applied_and_reversed_leaves_every_other_topic_byte_equal():
    lines = histories.random_history(random.Random(5), 150)
    lines = [line for line in lines if not is_about_links(line)]
    ts = 1_760_000_000.0
    seen = [
        observation(who, primitive, value, ts + number)
        for number, (who, primitive, value) in enumerate(
            (who, primitive, value)
            for who in ("ann", "bob")
            for primitive, value in (
                ("motor.digraph_simhash", "00ff00ff00ff00ff"),
                ("toolchain.c2.c2_callback_endpoint", "203.0.113.9:443"),
            )
        )
    ]
    commands = [
        {"topic": "commands", "value": {"kind": kind, "identity": "ann", "b": "bob", "by": "op", "ts": ts, "id": kind}}
        for kind in ("link_apply", "link_reverse")
    ]
    without = derived([*seen, *lines])
    found = derived([*seen, commands[0], *lines[:75], commands[1], *lines[75:]])
    kinds = [
        orjson.loads(value)["kind"] if isinstance(value, bytes) else value["kind"]
        for _, value, _ in found["link-events"]
    ]
    assert {"applied", "reversed"} <= set(kinds)
    assert set(found) == set(without)
    for topic in set(without) - {"link-events", "identity-links", "commands"}:
        assert found[topic] == without[topic], topic


def is_about_links(line):
    return isinstance(line["value"], dict) and str(line["value"].get("kind", "")).startswith("link_")


def observation(who, primitive, value, ts):
    return {"topic": "observations", "value": {
        "primitive": primitive, "value": value, "confidence": 1.0, "source": "t", "identity_ref": who, "v": 1,
        "window": {"start_ts": ts, "end_ts": ts}, "ts": ts, "id": f"{who}-{primitive}",
    }}  # fmt: skip
