"""The table that every door resolves with: fed from the records of the topic, and what it makes of names."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.names.rules import fault_of
from endocrine.pipeline.core.name_table import NameFault, NameTable
from properties import examples

MEANT = {
    ("identity", "A.S."): "Ann",
    ("identity", "Ann"): "Ann",
    ("project", "P05"): "p05-x",
    ("project", "p05-x"): "p05-x",
}


def record(scope, name, registered_id, **more):
    value = {
        "scope": scope,
        "name": name,
        "registered_id": registered_id,
        "kind": "id" if name == registered_id else "alias",
        "description": None,
        "roots": None,
        "effective_from": 1.0,
        "released_from": None,
        "by": "op",
        "ts": 1.0,
        **more,
    }
    return f"{scope}/{name.lower()}".encode(), orjson.dumps(value)


@pytest.fixture(scope="module")
def table():
    made = NameTable()
    for (scope, name), registered_id in MEANT.items():
        made.apply(*record(scope, name, registered_id))
    return made


def test_an_alias_and_the_id_in_any_case_are_the_id(table):
    assert [table.identity(name) for name in (" A.S. ", "a.s.", "ANN", "Ann")] == ["Ann"] * 4
    assert [table.project(name) for name in ("p05", "P05-X ")] == ["p05-x"] * 2


def test_an_unregistered_name_stays_and_an_empty_project_is_none(table):
    assert table.identity("Bob") == "Bob"
    assert [table.project(name) for name in (None, "", " ")] == [None] * 3


@pytest.mark.parametrize(
    ("name", "fault"),
    [("", "empty"), (" ", "empty"), ("x" * 257, "too_long"), ("$x", "reserved_name"), (" Project:x", "reserved_name")],
)
def test_what_is_no_identity_is_refused_without_showing_it(table, name, fault):
    with pytest.raises(NameFault) as refused:
        table.identity(name)
    assert refused.value.fault == fault
    assert not name.strip() or name not in str(refused.value)


def test_a_subject_may_be_a_project_and_a_name_of_ours(table):
    assert [table.subject(name) for name in ("project:P05", "PROJECT: p05", "$registry", "A.S.", "project:other")] == [
        "project:p05-x",
        "project:p05-x",
        "$registry",
        "Ann",
        "project:other",
    ]
    with pytest.raises(NameFault):
        table.subject("project: ")


def test_a_tombstone_and_a_release_end_an_alias():
    table = NameTable()
    for entry in (record("identity", "Ann", "Ann"), record("identity", "a", "Ann"), record("identity", "b", "Ann")):
        table.apply(*entry)
    table.apply(b"identity/a", None)
    table.apply(*record("identity", "b", "Ann", released_from=2.0))
    assert [table.identity(name) for name in ("a", "b", "ann")] == ["a", "b", "Ann"]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"scope": "identity"}'])
def test_what_is_no_record_of_the_registry_changes_nothing(table, value):
    before = dict(table.entries)
    table.apply(b"identity/ann", value)
    assert table.entries == before


def test_a_line_is_resolved_in_its_identity_its_project_and_its_key(table):
    opened = {"kind": "opened", "identity": "a.s.", "project": "P05", "prompt": "a.s."}
    assert table.line({"topic": "interactions", "key": "a.s.", "value": opened}) == {
        "topic": "interactions",
        "key": "Ann",
        "value": {"kind": "opened", "identity": "Ann", "project": "p05-x", "prompt": "a.s."},
    }
    line = {"topic": "observations", "key": "elsewhere", "value": {"identity_ref": "A.S.", "identity": 7}}
    assert table.line(line) == {**line, "value": {"identity_ref": "Ann", "identity": 7}}
    for value in ({"identity": 7, "project": ["p05"]}, {"identity": "bob"}, {}):
        assert table.line({"topic": "signals", "value": value}) == {"topic": "signals", "value": value}


def test_a_command_may_be_about_a_project(table):
    line = table.line({"topic": "commands", "value": {"kind": "tick", "identity": "project:p05"}})
    assert line["value"]["identity"] == "project:p05-x"
    with pytest.raises(NameFault):
        table.line({"topic": "signals", "value": {"identity": "project:p05"}})


@settings(max_examples=examples(100))
@given(st.text(max_size=30))
def test_resolving_again_changes_nothing(table, text):
    if fault_of("identity", text.strip()) is None:
        once = table.identity(text)
        assert table.identity(once) == once
