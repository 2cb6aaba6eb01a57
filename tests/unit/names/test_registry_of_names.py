"""The agent `registry`: what is registered, what is refused, what changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from endocrine.agents.contract import Trigger
from endocrine.agents.names.agent import AGENT
from endocrine.agents.names.resolve import resolve
from endocrine.schemas.commands import RegisterName, SetCap
from properties import examples


def test_an_id_and_its_alias_are_registered(registry):
    assert registry.register("P05-Billing") == ("registered", None, None)
    assert registry.register("p05", "P05-Billing") == ("registered", None, None)
    assert registry.table["project", "p05"]["kind"] == "alias"
    assert registry.table["project", "p05-billing"]["kind"] == "id"


def test_a_name_registered_again_for_the_same_id_changes_nothing(registry):
    registry.register("p05-billing")
    registry.register("p05", "p05-billing")
    assert registry.register("p05-billing") is None
    assert registry.register("P05", "p05-billing") is None
    assert registry.register("P05-BILLING", "p05-billing") is None, "the id itself, in another case"


def test_a_name_of_another_id_is_refused_and_names_its_holder(registry):
    registry.register("a")
    registry.register("x", "a")
    assert registry.register("X", "b") == ("refused", "a", "taken")
    assert registry.register("A", "b") == ("refused", "a", "taken")
    assert resolve(registry.table, "project", "x") == "a"


def test_two_ids_that_differ_in_case_only_cannot_be_registered(registry):
    registry.register("Ann", scope="identity")
    assert registry.register("ANN", scope="identity") == ("refused", "Ann", "taken")


def test_an_alias_that_is_its_id_in_another_case_is_invalid(registry):
    assert registry.register("ANN", "Ann", scope="identity") == ("refused", None, "invalid")
    assert registry.table == {}


def test_scopes_do_not_share_names(registry):
    registry.register("x", "a")
    assert registry.register("x", "b", scope="identity") == ("registered", None, None)


def test_a_released_alias_is_free_again(registry):
    registry.register("x", "a")
    assert registry.release("X") == ("released", "a", None)
    assert registry.release("x") is None
    assert registry.register("x", "b") == ("registered", None, None)


def test_an_id_is_never_released(registry):
    registry.register("a")
    assert registry.release("a") == ("refused", "a", "is_an_id")
    assert registry.release("b") == ("refused", None, "unknown")


def test_an_id_takes_a_new_description_and_an_alias_none(registry):
    registry.register("a", description="one")
    assert registry.register("a", description="one") is None
    assert registry.register("a", description="two", roots=[{"source": "s", "subpath": ""}])[0] == "registered"
    assert registry.table["project", "a"]["description"] == "two"
    assert registry.register("a") is None, "nothing is taken away by what is left out"
    assert registry.register("x", "a", description="d") == ("refused", None, "invalid")


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("identity", "project:x"),
        ("identity", "PROJECT:x"),
        ("identity", "$registry"),
        ("identity", " ann"),
        ("identity", " "),
        ("project", "p" * 201),
    ],
)
def test_what_is_no_name_of_a_scope_is_invalid(registry, scope, name):
    assert registry.register(name, scope=scope) == ("refused", None, "invalid")
    assert registry.register("x", name, scope=scope) == ("refused", None, "invalid")


def test_a_command_under_another_identity_is_no_command_of_the_registry():
    fields = {"kind": "register_name", "scope": "identity", "name": "a", "registered_id": "a"}
    with pytest.raises(ValidationError, match="identity"):
        RegisterName(**fields, identity="ann", by="op", ts=1.0, effective_from=1.0)


def test_other_commands_leave_no_state():
    command = SetCap(kind="set_cap", identity="ann", by="op", ts=1.0, cap=1)
    assert AGENT.process(None, Trigger("commands", "c", "ann", command), None) == (None, [])


NAMES = st.sampled_from(["a", "A", "b", "B", "c", "x", "X", "y"])
STEPS = st.lists(st.tuples(st.booleans(), NAMES, NAMES), max_size=12)


@settings(max_examples=examples(100))
@given(STEPS)
def test_every_name_means_one_id_in_every_case_and_ids_stay_for_ever(new_registry, steps):
    registry, ids = new_registry(), set()
    for releases, name, registered_id in steps:
        if releases:
            registry.release(name)
        elif registry.register(name, registered_id) == ("registered", None, None) and name == registered_id:
            ids.add(name)
    assert len({name.lower() for name in ids}) == len(ids)
    for name in "abcxy":
        meant = resolve(registry.table, "project", name)
        assert resolve(registry.table, "project", meant) == meant, "one hop, never a chain"
        if meant != name:
            assert resolve(registry.table, "project", name.upper()) == meant
            assert meant in ids
    assert all(resolve(registry.table, "project", name.lower()) == name for name in ids)


@settings(max_examples=examples(100))
@given(STEPS)
def test_the_same_commands_again_in_the_same_order_register_nothing_new(new_registry, steps):
    registry = new_registry()
    steps = [(name, registered_id) for _, name, registered_id in steps]
    for name, registered_id in steps:
        registry.register(name, registered_id)
    before = dict(registry.table)
    for name, registered_id in steps:
        assert (registry.register(name, registered_id) or ("refused",))[0] == "refused"
    assert registry.table == before
