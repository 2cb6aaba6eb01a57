"""Room for what applications declare: to the character, shared by turns that declare the same."""

from types import SimpleNamespace

import pytest

from endocrine.agents.gating import application
from endocrine.agents.gating.memory import EMPTY
from endocrine.schemas.application import functions_chars

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CHARS = functions_chars([{"weather": SCHEMA}])


def opened(state, room, name="weather"):
    value = SimpleNamespace(application_tools=[SimpleNamespace(name=name, parameters=SCHEMA)], client="c")
    policy = SimpleNamespace(document=SimpleNamespace(gating=SimpleNamespace(declared_chars=room)))
    state, turn = application.opened(state, {"force": None}, value, policy)
    return {**state, "turns": {**state["turns"], f"t{len(state['turns'])}": turn}}, turn


@pytest.mark.parametrize(("room", "declared"), [(CHARS - 1, False), (CHARS, True), (CHARS + 1, True)])
def test_what_just_fits_is_declared_and_one_character_more_is_not(room, declared):
    state, turn = opened(EMPTY, room)
    assert ("declared" in turn) is declared
    assert ("declared" in state) is declared
    assert EMPTY.get("declared") is None


def test_turns_that_declare_the_same_take_room_once_and_another_declaration_takes_its_own():
    state, first = opened(EMPTY, CHARS)
    state, second = opened(state, CHARS)
    assert first["declared"] == second["declared"]
    state, third = opened(state, CHARS, name="another")
    assert "declared" not in third
    both = functions_chars([{"weather": SCHEMA}, {"another": SCHEMA}])
    assert "declared" not in opened(state, both - 1, name="another")[1]
    assert "declared" in opened(state, both, name="another")[1]


def test_what_no_open_turn_declares_is_forgotten_and_nothing_else():
    state, turn = opened(EMPTY, CHARS)
    assert application.kept(state) == state
    state, _ = opened(state, 10 * CHARS, name="another")
    left = application.kept({**state, "turns": {"t0": turn}})
    assert left["declared"] == {turn["declared"]: {"weather": SCHEMA}}
    assert "declared" not in application.kept({**state, "turns": {}})
