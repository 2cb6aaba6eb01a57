"""A turn that waits for a person: nothing goes on, and nothing made before is used (rules, section 2, `review`)."""

import pytest

ANSWER = "The first guide comes first."


def test_a_held_turn_waits_and_is_asked_when_a_person_approves_it(talk):
    talk.open()
    assert talk.hold() == []
    assert talk.tick(900.0) == []
    talk.modulate(revision=1, mode="strict", tools=["retrieval"], risk=0.95, ts=901.0)
    assert [request["request_id"] for request in talk.requests] == ["t1/1"]
    talk.reply(content=ANSWER, ts=902.0)
    assert talk.closed[0]["finish"] == "answered"


@pytest.mark.parametrize("refusal", ["denied", "hold_expired"])
@pytest.mark.parametrize("while_asking", [False, True])
def test_a_turn_that_a_person_denied_or_nobody_reviewed_ends_with_a_sentence_of_its_own(talk, refusal, while_asking):
    talk.open()
    if while_asking:
        talk.modulate()
    talk.hold(revision=1)
    talk.modulate(revision=2, refusal=refusal, ts=200.0)
    (closed,) = talk.closed
    assert closed["finish"] == refusal
    assert closed["response"] == talk.policy.document.conversation.closings[refusal]
    assert closed["memory_write"] == 0.0


def test_an_answer_made_before_the_hold_is_not_used_and_the_step_is_asked_again_after_it(asking):
    asking.hold(revision=1)
    assert asking.reply(content=ANSWER, ts=102.0) == []
    asking.modulate(revision=2, mode="strict", tools=["retrieval"], risk=0.95, ts=103.0)
    assert [request["request_id"] for request in asking.requests] == ["t1/1", "t1/1/held-1"]
    asking.reply("t1/1/held-1", ANSWER, ts=104.0)
    assert asking.closed[0]["usage"] == {"input_tokens": 40, "output_tokens": 20}


def test_an_answer_made_before_the_hold_is_not_used_either_where_it_comes_after_the_approval(asking):
    asking.hold(revision=1)
    asking.modulate(revision=2, mode="strict", tools=["retrieval"], risk=0.95, ts=102.0)
    assert asking.closed == []
    asking.reply(content=ANSWER, ts=103.0)
    assert [request["request_id"] for request in asking.requests] == ["t1/1", "t1/1/held-1"]


def test_tool_calls_of_a_reply_that_comes_while_the_turn_is_held_are_not_asked_for(asking):
    asking.hold(revision=1)
    assert asking.reply(calls=[("open_url", {"url": "https://a.example"})]) == []
    assert asking.of("tool-calls") == []


def test_an_answer_that_is_judged_when_the_turn_is_held_is_not_used(make_talk):
    talk = make_talk(retrieval={"enabled": False}, guardian={"provider": "model"})
    talk.open()
    talk.modulate()
    talk.reply(content=ANSWER)
    talk.hold(revision=1, ts=102.0)
    talk.reply("t1/1/guardian", '{"veto": false, "rules": []}', ts=103.0)
    assert talk.closed == []
    talk.modulate(revision=2, mode="strict", tools=["retrieval"], risk=0.95, ts=104.0)
    assert talk.requests[-1]["request_id"] == "t1/1/held-1"


def test_a_hold_whose_end_never_comes_fails_closed_some_time_after_it(talk):
    talk.open()
    talk.hold(expires=1000.0)
    assert talk.tick(1029.0) == []
    talk.tick(1030.0)
    assert talk.closed[0]["finish"] == "no_revision"


def test_a_hold_that_was_seen_before_the_opening_holds_all_the_same(talk):
    talk.hold(expires=1000.0)
    assert talk.open() == []
    assert talk.tick(999.0) == []


def test_strict_stops_where_the_model_takes_stop_sequences_and_else_it_is_recorded_as_dropped(make_talk):
    for model, sent in (("scripted", True), ("gpt-4.1-mini", False)):
        talk = make_talk(retrieval={"enabled": False})
        talk.open(model=model)
        talk.modulate(mode="strict", tools=["retrieval"], risk=0.95)
        (request,) = talk.requests
        assert (request["parameters"].get("stop") == ["\nUnsafe:"]) is sent
        assert ("stop" in request["dropped"]) is not sent
