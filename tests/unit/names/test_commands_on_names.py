"""What is foreseen of commands on names before anything is sent, and which project a path is of."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.data.names import ImportedNames, imported, project_of, refusals, registration, release
from properties import examples


def applied(registry):
    table = NameTable()
    for (scope, name), entry in registry.table.items():
        table.apply(f"{scope}/{name}".encode(), orjson.dumps(entry))
    return table


NAMES = st.sampled_from(["a", "A", "b", "B", "c", "x", "X", "$y", ""])
STEPS = st.lists(st.tuples(NAMES, NAMES), max_size=8)


@settings(max_examples=examples(100))
@given(STEPS, STEPS)
def test_what_is_foreseen_is_what_the_agent_answers(new_registry, before, after):
    registry = new_registry()
    for name, registered_id in before:
        if name and registered_id:
            registry.register(name, registered_id)
    for name, registered_id in after:
        if not (name and registered_id):
            continue
        table = applied(registry)
        command = registration("project", name, registered_id, by="op", ts=1.0)
        foreseen, held = refusals(table, [command]), table.holds(command)
        known = name == registered_id or table.is_registered("project", registered_id)
        answer = registry.register(name, registered_id)
        if held:
            assert answer is None
        elif known:
            assert (answer[0] == "refused") == bool(foreseen)
        else:
            assert foreseen, "an alias of what is not registered is refused at the door"


def test_a_file_that_contradicts_itself_or_the_registry_is_refused_whole(registry):
    registry.register("a")
    registry.register("x", "a")
    file = {"projects": [{"id": "b", "aliases": ["x", "y"]}, {"id": "c", "aliases": ["Y", "C", "d"]}]}
    found = refusals(applied(registry), imported(ImportedNames.model_validate(file), by="op", ts=1.0))
    assert [line.partition(":")[0] for line in found] == ["project 'x'", "project 'Y'"]


def test_an_id_comes_before_its_aliases():
    file = {"projects": [{"id": "b", "aliases": ["x"], "description": "d"}], "identities": [{"id": "Ann"}]}
    commands = imported(ImportedNames.model_validate(file), by="op", ts=1.0)
    assert [(one["scope"], one["name"]) for one in commands] == [
        ("project", "b"),
        ("project", "x"),
        ("identity", "Ann"),
    ]
    assert commands[0]["description"] == "d"
    assert refusals(NameTable(), commands) == []


def test_a_release_of_what_is_released_already_is_nothing(registry):
    registry.register("a")
    registry.register("x", "a")
    command = release("project", "X", by="op", ts=1.0)
    assert not applied(registry).holds(command)
    registry.release("x")
    assert applied(registry).holds(command)


def test_aliases_of_aliases_and_of_nothing_are_faults(registry):
    registry.register("a")
    registry.register("x", "a")
    registry.register("y", "x")
    registry.register("z", "gone")
    assert [(one["fault"], one["name"]) for one in applied(registry).faults()] == [
        ("alias_of_alias", "y"),
        ("alias_of_unregistered", "z"),
    ]


@pytest.mark.parametrize(
    ("path", "project"),
    [("/w/a", "a"), ("/w/a/x/y", "a"), ("/w/a/deep/z", "b"), ("/w/ab", None), ("/w", None), ("/other", None)],
)
def test_a_path_is_of_the_project_with_the_longest_root_by_component(registry, path, project):
    registry.register("a", roots=[{"source": "/w/a", "subpath": ""}])
    registry.register("b", roots=[{"source": "/w/a", "subpath": "deep"}])
    assert project_of(applied(registry), path) == project
