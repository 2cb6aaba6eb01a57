"""`resolve` and what a name may be."""

from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents.names.resolve import resolve
from endocrine.agents.names.rules import fault_of, project_subject, reserved


def entry(name, registered_id, kind="alias", released_from=None):
    return {"name": name, "registered_id": registered_id, "kind": kind, "released_from": released_from}


def test_an_alias_of_an_alias_counts_as_unregistered():
    table = {
        ("project", "a"): entry("a", "a", "id"),
        ("project", "b"): entry("b", "a"),
        ("project", "c"): entry("c", "b"),
        ("project", "d"): entry("d", "gone"),
    }
    assert [resolve(table, "project", name) for name in "abcd"] == ["a", "a", "c", "d"]


def test_an_alias_gives_the_id_in_the_case_that_it_was_registered_with():
    table = {("identity", "ann"): entry("Ann", "Ann", "id"), ("identity", "a"): entry("a", "ANN")}
    assert resolve(table, "identity", "A") == "Ann"


def test_a_released_alias_counts_as_unregistered():
    table = {("identity", "ann"): entry("Ann", "Ann", "id"), ("identity", "a"): entry("a", "Ann", released_from=1.0)}
    assert resolve(table, "identity", "A") == "A"


@given(st.text())
def test_an_unregistered_name_stays_as_it_is(name):
    assert resolve({}, "identity", name) == name


@given(st.text(max_size=20))
def test_the_reserved_are_those_that_begin_so_in_any_case(text):
    assert reserved(text) == text.lower().startswith(("project:", "$"))


def test_a_projects_subject_is_never_longer_than_an_identity():
    assert fault_of("project", "p" * 200) is None
    assert len(project_subject("p" * 200)) <= 256
    assert fault_of("project", "") == "empty"
