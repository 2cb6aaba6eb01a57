"""The budget's arithmetic to the token: windows, room, and what a prompt can cost at most."""

import orjson
import pytest

from endocrine.agents.conversation.budget import prompt_tokens, reserve, rolled, settle, tokens_left
from endocrine.pipeline.process.policy_files import shipped_policy

RULES = shipped_policy().document.budget.model_copy(
    update={"limit": 1000, "soft_share": 0.85, "window_s": 60.0, "bytes_per_token": 4, "message_tokens": 7}
)


@pytest.mark.parametrize(("now", "same"), [(100.0, True), (159.999, True), (160.0, False), (161.0, False)])
def test_a_window_ends_exactly_after_its_seconds_and_keeps_what_is_held(now, same):
    budget = {"start": 100.0, "spent": 5, "held": 3}
    assert rolled(budget, now, RULES) == (budget if same else {"start": now, "spent": 0, "held": 3})
    assert budget == {"start": 100.0, "spent": 5, "held": 3}


def test_the_first_window_begins_with_its_first_request():
    assert rolled({"start": None, "spent": 0, "held": 0}, 12.5, RULES) == {"start": 12.5, "spent": 0, "held": 0}


def test_what_is_held_leaves_as_little_room_as_what_is_spent():
    assert tokens_left({"start": 0.0, "spent": 0, "held": 0}, RULES) == (1000, 850)
    assert tokens_left({"start": 0.0, "spent": 400, "held": 500}, RULES) == (100, -50)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_prompt_costs_its_bytes_rounded_up_and_a_share_for_each_message_function_and_the_answer(count):
    messages = [{"role": "user", "content": "x" * n} for n in range(count)]
    tools = [{"name": "f"}]
    size = len(orjson.dumps(messages)) + len(orjson.dumps(tools))
    assert prompt_tokens(messages, tools, RULES) == (size + 3) // 4 + 7 * (count + 1 + 1)


def test_a_settled_request_frees_what_it_held_and_spends_what_it_used_or_all_where_nobody_knows():
    held = reserve({"start": 1.0, "spent": 10, "held": 20}, 30)
    assert held == {"start": 1.0, "spent": 10, "held": 50}
    assert settle(held, 30, 12) == {"start": 1.0, "spent": 22, "held": 20}
    assert settle(held, 30, 0) == {"start": 1.0, "spent": 10, "held": 20}
    assert settle(held, 30, None) == {"start": 1.0, "spent": 40, "held": 20}
