"""Open and ended turns of an identity, and lengths of texts, exactly at their bounds."""

from types import SimpleNamespace

import pytest

from endocrine.agents.capture.filters import cut_response, skip_reason
from endocrine.agents.capture.turns import EMPTY, after_end, after_opening, has_ended, open_turn, without_overdue

RULES = SimpleNamespace(open_turns=2, ended_remembered=2, open_s=10.0)


def opened(name, ts=0.0):
    return SimpleNamespace(audit_id=name, project=None, client="c", session_id="s", turn=0, ts=ts)


def opening(*names):
    state = EMPTY
    for name in names:
        state = after_opening(state, opened(name), RULES)
    return state


def test_as_many_turns_as_there_is_room_for_stay_open_and_one_more_puts_the_oldest_out():
    assert (list(opening("a", "b")["open"]), opening("a", "b")["dropped"]) == (["a", "b"], 0)
    assert (list(opening("a", "b", "c")["open"]), opening("a", "b", "c")["dropped"]) == (["b", "c"], 1)


def test_a_turn_is_overdue_after_its_time_and_not_at_it():
    state = opening("a")
    assert without_overdue(state, 10.0, RULES) is state
    late = without_overdue(state, 10.5, RULES)
    assert (late["open"], late["dropped"]) == ({}, 1)


def test_of_ended_turns_the_latest_are_known():
    state = opening("a", "b")
    for name in ("a", "b", "c"):
        state = after_end(state, name, RULES)
    assert [has_ended(state, name) for name in ("a", "b", "c")] == [False, True, True]
    assert open_turn(state, "b") is None


@pytest.fixture
def texts():
    return SimpleNamespace(
        meta_prefix="<", command_prefix="/", min_prompt_chars=5, max_response_chars=4, truncation_mark="[cut]"
    )


def test_a_prompt_of_just_enough_characters_is_a_turn(texts):
    assert skip_reason(" 12345 ", texts) is None
    assert skip_reason(" 1234 ", texts) == "short"


def test_a_response_of_the_longest_length_is_whole(texts):
    assert cut_response("1234", texts) == "1234"
    assert cut_response("12345", texts) == "1234\n\n[cut]"
