"""Tokens per identity and window: never one too many."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.conversation import budget
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

RULES = shipped_policy().document.budget
PLAIN = {"retrieval": {"enabled": False}}


def held_by(turns):
    requests = [turn["request"] for turn in turns] + [judge for turn in turns for judge in turn["judges"].values()]
    return sum(request["held"] for request in requests if request is not None)


@given(st.lists(st.text(max_size=60), max_size=4))
def test_the_estimate_is_no_less_than_one_token_per_byte(texts):
    messages = [{"role": "user", "content": text} for text in texts]
    assert budget.prompt_tokens(messages, [], RULES) >= sum(len(text.encode()) for text in texts)


def test_a_turn_that_does_not_fit_is_refused_and_the_model_is_not_asked(make_talk):
    talk = make_talk(**PLAIN, budget={"limit": 500})
    talk.open()
    talk.modulate()
    assert [closed["finish"] for closed in talk.closed] == ["budget_exceeded"]
    assert "budget_exceeded" in talk.closed[0]["response"]
    assert talk.requests == []


def test_what_is_held_is_free_again_after_the_reply(make_talk):
    talk = make_talk(**PLAIN)
    talk.open()
    talk.modulate()
    held = talk.requests[0]["reserved_tokens"]
    assert talk.state["budget"] == {"start": 100.0, "spent": 0, "held": held}
    talk.reply(content="yes")
    assert talk.state["budget"] == {"start": 100.0, "spent": 30, "held": 0}


@pytest.mark.parametrize("way", ["timeout without usage", "closed by the application", "deadline"])
def test_a_cost_that_nobody_knows_is_all_that_was_held(make_talk, way):
    talk = make_talk(**PLAIN)
    talk.open()
    talk.modulate()
    held = talk.requests[0]["reserved_tokens"]
    if way == "deadline":
        talk.tick(10_000.0)
    elif way == "closed by the application":
        talk.feed("interactions", kind="closed", audit_id="t1", response="theirs", ts=101.0)
    else:
        talk.reply(status="timeout", usage=None)
    assert talk.state["budget"]["spent"] == held
    assert talk.state["budget"]["held"] == 0


def test_near_the_soft_cap_a_turn_goes_concise_and_that_is_on_record(make_talk):
    free = make_talk(**PLAIN)
    free.open()
    free.modulate()
    first = free.requests[0]
    assert not first["concise"]
    limit = int(first["reserved_tokens"] / 0.8) - 2  # its soft share is one token short
    talk = make_talk(**PLAIN, budget={"limit": limit})
    talk.open()
    talk.modulate()
    (request,) = talk.requests
    assert request["concise"]
    assert request["parameters"]["max_output_tokens"] == 256
    assert request["messages"][0]["content"].endswith(talk.policy.document.conversation.words.concise)
    assert request["reserved_tokens"] < first["reserved_tokens"]


def test_a_new_window_begins_empty_but_keeps_what_is_held(make_talk):
    talk = make_talk(**PLAIN, budget={"window_s": 60.0})
    talk.open()
    talk.modulate()
    talk.reply(content="yes", ts=101.0)
    talk.open("t2", ts=159.9)
    talk.modulate("t2", ts=159.9)
    held = talk.requests[-1]["reserved_tokens"]
    talk.open("t3", ts=160.0)
    talk.modulate("t3", ts=160.0)
    assert talk.state["budget"] == {"start": 160.0, "spent": 0, "held": held + talk.requests[-1]["reserved_tokens"]}


@settings(max_examples=examples(6), deadline=None)
@given(data=st.data(), limit=st.integers(2_000, 400_000), guardian=st.booleans())
def test_two_hundred_turns_at_once_never_overspend_by_one_token(make_talk, data, limit, guardian):
    sections = {"budget": {"limit": limit}, "guardian": {"provider": "model" if guardian else "local"}}
    talk = make_talk(**PLAIN, **sections)
    for number in range(200):
        talk.open(f"t{number}", prompt="q" * (1 + number % 50))
        talk.modulate(f"t{number}", parameters={"max_output_tokens": 256 + number})
    spent, waiting, chance = 0, list(talk.requests), data.draw(st.randoms(use_true_random=False))
    while waiting:
        request = waiting.pop(chance.randrange(len(waiting)))
        most = request["reserved_tokens"]
        used = chance.choice([0, most, chance.randint(0, most)])
        known = chance.random() < 0.9
        split = chance.randint(0, used)
        usage = {"input_tokens": split, "output_tokens": used - split} if known else None
        spent += used
        content = '{"veto": false}' if request["purpose"] == "guardian" else "yes"
        calls = [("open_url", {})] if request["purpose"] == "answer" and chance.random() < 0.2 else ()
        name, audit_id = request["request_id"], request["audit_id"]
        said = talk.reply(name, content, calls, audit_id=audit_id, usage=usage)
        for topic, value in list(said):
            if topic == "tool-calls":
                said += talk.decide(value["call_id"], "denied", "rate_limited", audit_id=audit_id)
        waiting += [value for topic, value in said if topic == "model-requests"]
        assert spent <= limit
        assert spent + sum(one["reserved_tokens"] for one in waiting) <= limit
        assert talk.state["budget"]["held"] == held_by(talk.state["turns"].values())
    ends = [closed["audit_id"] for closed in talk.closed]
    assert sorted(ends) == sorted(f"t{number}" for number in range(200))
    assert len(orjson.dumps(talk.state)) < 100_000
