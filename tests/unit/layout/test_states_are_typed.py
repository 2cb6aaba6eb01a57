"""The state of every agent has named, typed fields; words that were replaced do not come back."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from endocrine import agents
from endocrine.agents.registry import AGENTS

FOLDER = Path(agents.__file__).parent
STATES = {"state", "known", "turn", "turns", "entry", "window", "memory", "call", "given", "pending", "effective"}
"""Names of parameters and variables that hold a state, or a part of one."""
LOOSE = {"Any", "Json", "dict[str, Any]", "dict[str, Json]", "Mapping[str, Any]", "list[Any]"}
RETIRED = {
    "modulation": {"_ease"},
    "gating": {"question", "question_of", "answer", "force_of"},
    "audit": {"_Said", "_heard", "fresh"},
    "conversation": {"desk", "force_of", "say", "came_back", "left_alone", "fired"},
    "feedback": {"heard_modulation", "heard_incident"},
}
"""Identifiers of each agent that the names of today replaced."""


def loose_annotations(source):
    """(line, name) of each state that is annotated as any JSON object."""
    for node in ast.walk(ast.parse(source)):
        name = node.arg if isinstance(node, ast.arg) else None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name in STATES and node.annotation is not None:
            parts = {part.strip() for part in ast.unparse(node.annotation).split("|")}
            if parts & LOOSE:
                yield node.lineno, name


def states_without_fields(agent):
    return [
        (file.name, *found)
        for file in sorted((FOLDER / agent).glob("*.py"))
        for found in loose_annotations(file.read_text())
    ]


@pytest.mark.parametrize("agent", sorted(agent.name for agent in AGENTS))
def test_no_part_of_a_state_is_any_json_object(agent):
    assert states_without_fields(agent) == []


def test_a_loose_annotation_is_found():
    source = (
        "def f(state: dict[str, Any], turn: Json | None, other: Json):\n    known: Any = state\n    entry: Row = turn"
    )
    assert sorted(loose_annotations(source)) == [(1, "state"), (1, "turn"), (2, "known")]


@pytest.mark.parametrize("agent", RETIRED)
def test_a_retired_identifier_does_not_come_back(agent):
    for file in sorted((FOLDER / agent).glob("*.py")):
        tokens = tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
        assert not {token.string for token in tokens if token.type == tokenize.NAME} & RETIRED[agent], file
