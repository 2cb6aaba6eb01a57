"""What a watch has seen of a turn, as the endpoint takes it: rounds, calls and the decisions that are about them."""

import pytest

from endocrine.agents._shared.arguments import digest_of
from endocrine.pipeline.gateway.openai.port import AnsweredCall, Decided, Replied, TextChunk
from endocrine.pipeline.gateway.openai.refusals import KINDS as CODES
from endocrine.pipeline.gateway.openai_port.known_turns import turn_of
from endocrine.pipeline.gateway.openai_port.refusing import refused_of, render
from endocrine.pipeline.gateway.openai_port.results import result_record, results_digest
from endocrine.pipeline.gateway.openai_port.rounds import Rounds
from endocrine.pipeline.gateway.problems import KINDS, Problem
from endocrine.pipeline.gateway.watch import Watch
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.schemas.tools import ToolResult

TURN = "oa-1"


@pytest.fixture
def watch():
    return Watch("ann", TURN)


def rounds_of(watch, **more):
    return Rounds(watch, shipped_policy(), more.pop("observed", False), frozenset({"weather"}), **more)


def reply(watch, request, *tools, at=1.0, content=None):
    calls = [{"call_id": "x", "tool": name, "arguments": {"city": "Bonn"}} for name in tools]
    value = {"request_id": request, "status": "ok", "content": content, "tool_calls": calls, "usage": None}
    watch.apply("model-replies", value, at, at)


def decide(watch, call_id, function="weather", decision="allowed", **more):
    value = {
        "call_id": call_id,
        "function": function,
        "tool": None,
        "decision": decision,
        "reason": None if decision == "allowed" else "unknown_tool",
        "arguments_digest": digest_of({"city": "Bonn"}),
        **more,
    }
    watch.apply("tool-decisions", value, 1.0, 1.0)


def test_calls_have_the_ids_of_the_agent_and_pass_by_their_own_decision(watch):
    rounds = rounds_of(watch)
    reply(watch, f"{TURN}/1", "weather", "evil")
    (first,) = rounds.news()
    assert isinstance(first, Replied)
    assert [call.call_id for call in first.calls] == [f"{TURN}/1/call-1", f"{TURN}/1/call-2"]
    assert rounds.undecided()
    decide(watch, f"{TURN}/1/call-1", runner="application")
    decide(watch, f"{TURN}/1/call-2", "evil", "denied")
    assert [(one.call_id[-1], one.decision, one.application) for one in rounds.news()] == [
        ("1", "allowed", True),
        ("2", "denied", False),
    ]
    assert list(rounds.news()) == []
    assert [one.call_id for one in rounds.passed()] == [f"{TURN}/1/call-1"]
    assert not rounds.undecided()


def test_a_decision_on_other_arguments_or_another_function_is_about_another_call(watch):
    rounds = rounds_of(watch)
    reply(watch, f"{TURN}/1", "weather")
    decide(watch, f"{TURN}/1/call-1", runner="application", arguments_digest="0" * 64)
    decide(watch, f"{TURN}/1/call-1", "other", runner="application")
    assert rounds.undecided()
    assert rounds.passed() == []


def test_a_denied_call_of_the_application_was_never_passed_on(watch):
    rounds = rounds_of(watch)
    reply(watch, f"{TURN}/1", "weather", "weather")
    decide(watch, f"{TURN}/1/call-1", decision="denied", runner="application")
    decide(watch, f"{TURN}/1/call-2", decision="pending", runner="application")
    assert rounds.passed() == []


def test_under_observe_a_denied_call_that_is_none_of_ours_is_passed_on(watch):
    rounds = rounds_of(watch, observed=True)
    reply(watch, f"{TURN}/1", "evil")
    decide(watch, f"{TURN}/1/call-1", "evil", "denied")
    assert [one.name for one in rounds.passed()] == ["evil"]
    assert rounds_of(watch).passed() == []


def test_an_answer_asked_again_is_a_round_of_its_own_and_a_verdict_is_none(watch):
    rounds = rounds_of(watch)
    reply(watch, f"{TURN}/1", at=1.0, content="vetoed")
    reply(watch, f"{TURN}/1/guardian", "weather", at=2.0, content="{}")
    reply(watch, f"{TURN}/1/again", "weather", at=3.0)
    assert [(one.request_id, one.step) for one in rounds.news()] == [(f"{TURN}/1", 1), (f"{TURN}/1/again", 2)]


def test_a_continuation_begins_after_the_round_that_was_answered(watch):
    reply(watch, f"{TURN}/1", "weather", at=1.0)
    decide(watch, f"{TURN}/1/call-1", runner="application")
    reply(watch, f"{TURN}/2", at=2.0, content="rain")
    rounds = rounds_of(watch, after=f"{TURN}/1", first=2)
    assert [(one.request_id, one.step) for one in rounds.news()] == [(f"{TURN}/2", 2)]
    assert rounds.passed() == []


def test_our_own_calls_beyond_the_bound_are_not_waited_for(watch):
    rounds = rounds_of(watch)
    most = shipped_policy().document.conversation.limits.calls_per_step
    reply(watch, f"{TURN}/1", *["retrieve_knowledge"] * (most + 1))
    decided = [one for one in rounds.news() if isinstance(one, Decided)]
    assert [(one.call_id.rpartition("-")[2], one.reason) for one in decided] == [(str(most + 1), "not_run")]


def chunk(watch, seq, text):
    value = {"request_id": f"{TURN}/1", "audit_id": TURN, "seq": seq, "text": text}
    watch.apply("model-chunks", value, 1.0, 1.0)


def test_text_comes_in_order_and_begins_anew_where_a_connector_took_over(watch):
    rounds = rounds_of(watch)
    chunk(watch, 1, "b")
    assert list(rounds.news()) == []
    chunk(watch, 0, "a")
    chunk(watch, 3, "d")
    assert [one.text for one in rounds.news()] == ["a", "b"]
    chunk(watch, 0, "A")
    assert list(rounds.news()) == [TextChunk(f"{TURN}/1", 0, "a")]


def test_a_turn_is_named_by_its_calls_and_only_by_ours():
    assert turn_of("oa-12/1/again/call-3") == "oa-12"
    assert [turn_of(name) for name in ("", "call_1", "x/1/call-1", "oa-12", "oa-1/call-1" + "1" * 300)] == [None] * 5


def test_a_result_is_a_valid_record_whose_id_only_we_can_make():
    call = AnsweredCall("oa-1/1/call-1", "weather", "{}", "rain")
    record = result_record(call, TURN, "ann", 1.0, b"key")
    ToolResult.model_validate(record)
    assert record["id"] == result_record(call, TURN, "ann", 2.0, b"key")["id"]
    assert record["id"] != result_record(call, TURN, "ann", 1.0, b"other")["id"]


def test_a_result_says_how_the_answer_to_it_is_taken_where_that_counts():
    call = AnsweredCall("oa-1/1/call-1", "weather", "{}", "rain")
    for streamed in (True, False):
        record = result_record(call, TURN, "ann", 1.0, b"key", streamed)
        assert ToolResult.model_validate(record).streamed is streamed
    assert "streamed" not in result_record(call, TURN, "ann", 1.0, b"key")
    assert len({results_digest((call,), streamed) for streamed in (None, True, False)}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_problem_has_a_refusal_of_its_class(kind):
    refused = refused_of(Problem(kind, "why", headers={"retry-after": "2"}))
    assert refused.code in CODES
    assert refused.retry_after_ms == 2000
    if kind in ("unauthorized", "forbidden", "not_found", "too_large", "too_many_requests", "headers_too_large"):
        assert refused.status == KINDS[kind].status


def test_only_paths_of_the_endpoint_have_its_envelope():
    problem = Problem("headers_too_large", "why")
    assert b'"code":"headers_too_large"' in render(problem, "r", "/openai/v1/models").body
    for path in ("/v1/turns", "/openaiv1", ""):
        assert render(problem, "r", path).media_type == "application/problem+json"
