"""Turns, decisions and captures of the Python client, on a gateway that is in process."""

import asyncio
import json
import logging

import httpx
import pytest

from endocrine_client import Denied, Endocrine, NotDecided, Pending, SyncEndocrine
from endocrine_client.testing import FakeGateway

CALL = {"id": "c1", "function": {"name": "retrieve_knowledge", "arguments": '{"query": "refunds"}'}}
EXECUTE = {"id": "c2", "name": "exec_code", "arguments": {"code": "1"}}


@pytest.fixture
def gateway():
    return FakeGateway()


def answering(*answers):
    """A client whose decisions are these, the last one for ever; and the requests it sent."""
    sent, left, fake = [], list(answers), FakeGateway()

    def handle(request):
        if request.url.path != "/v1/tool-calls":
            return fake.handle(request)
        sent.append(request)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    return Endocrine("http://gateway.test", spool=False, decision_s=0.3, transport=transport), sent


def decision(**more):
    return {"call_id": "c1", "function": "retrieve_knowledge", "decision": "allowed", "reason": None, **more}


async def test_a_turn_is_opened_decided_closed_and_rated(gateway):
    async with gateway.client() as endocrine:
        async with endocrine.turn(identity="ann", prompt="How?", signals={"urgency": 0.6}) as turn:
            assert turn.mode == "balanced"
            assert turn.parameters.openai() == {"temperature": 0.6, "top_p": 0.9, "max_completion_tokens": 900}
            assert turn.functions.openai()[0]["function"]["name"] == "retrieve_knowledge"
            decided = await turn.tool_call(CALL)
            assert decided.allowed
            assert decided.arguments == {"query": "refunds"}
            await turn.tool_result(decided, {"passages": []}, duration_ms=3)
            turn.answer("Ten days.", usage={"prompt_tokens": 3, "completion_tokens": 2})
        await endocrine.rate(turn, 5, note="good")
        await endocrine.signal("ann", "stress", 0.4, turn=turn)
    (opened,), (closed,) = gateway.records("/v1/turns"), gateway.records("close")
    assert opened["signals"] == [{"name": "urgency", "level": 0.6}]
    assert opened["audit_id"] == opened["session_id"] == turn.audit_id
    assert (closed["response"], closed["usage"]) == ("Ten days.", {"input_tokens": 3, "output_tokens": 2})
    assert gateway.records("/v1/feedback")[0]["target_action_id"] == turn.audit_id
    assert gateway.records("/v1/signals")[0]["audit_id"] == turn.audit_id
    assert gateway.records("/v1/tool-results")[0]["output"] == {"passages": []}


def test_the_blocking_client_does_the_same(gateway):
    with gateway.sync_client() as endocrine:
        with endocrine.turn(identity="ann", prompt="How?") as turn:
            assert turn.tool_call(CALL).allowed
            turn.answer("Ten days.")
        endocrine.rate(turn.audit_id, 5, identity="ann")
        assert endocrine.flush()
        assert endocrine.counts.delivered == 2
    assert [one["response"] for one in gateway.records("close")] == ["Ten days."]


async def test_a_block_without_an_answer_closes_its_turn_as_abandoned(gateway):
    with pytest.raises(ZeroDivisionError):
        async with gateway.client() as endocrine, endocrine.turn(identity="ann", prompt="How?"):
            raise ZeroDivisionError
    (closed,) = gateway.records("close")
    assert (closed["response"], closed["response_summary"], closed["reinforce"]) == ("", "abandoned", False)


async def test_a_denial_is_raised_and_the_turn_has_the_revision_that_it_led_to():
    gateway = FakeGateway(deny={"exec_code": "disabled_by_flag"})
    async with gateway.client() as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        with pytest.raises(Denied) as raised:
            await turn.tool_call(EXECUTE)
        assert (raised.value.reason, raised.value.call_id) == ("disabled_by_flag", "c2")
        assert (turn.mode, turn.modulation.revision) == ("strict", 1)


async def test_a_revision_that_a_decision_names_and_does_not_bring_leaves_strict_parameters():
    client, _ = answering(httpx.Response(200, json=decision(revision=3, modulation=None)))
    async with client as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        assert (await turn.tool_call(CALL)).revision == 3
        assert (turn.mode, turn.modulation.advice, turn.functions) == ("strict", "late", ())


async def test_a_call_that_waits_for_a_person_is_raised_as_such():
    gateway = FakeGateway(pending=["retrieve_knowledge"])
    async with gateway.client() as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        with pytest.raises(Pending):
            await turn.tool_call(CALL)
        with pytest.raises(Pending):
            await turn.tool_call(CALL)
    assert len(gateway.records("/v1/tool-calls")) == 1  # the same call under the same id


@pytest.mark.parametrize("reason", ["rate_limited", "budget_exceeded", "denied"])
async def test_a_turn_that_is_refused_never_begins(reason):
    gateway = FakeGateway(refuse=reason)
    async with gateway.client() as endocrine:
        with pytest.raises(Denied) as raised:
            async with endocrine.turn(identity="ann", prompt="How?"):
                raise AssertionError("it began")
        assert raised.value.reason == reason
    gateway.refuse = "held"
    async with gateway.client() as endocrine:
        with pytest.raises(Pending):
            async with endocrine.turn(identity="ann", prompt="How?"):
                raise AssertionError("it began")


NO_DECISION = {
    "the gateway is away": httpx.ConnectError("away"),
    "it is busy": httpx.Response(503, json={"type": "/problems/decision_timeout"}),
    "the key is wrong": httpx.Response(401, json={"type": "/problems/unauthorized"}),
    "a page of something between": httpx.Response(200, text="<html>"),
    "an answer on another call": httpx.Response(200, json=decision(call_id="c9")),
    "an answer on another function": httpx.Response(200, json=decision(function="exec_code")),
    "denied under the wrong status": httpx.Response(200, json=decision(decision="denied")),
    "no decision in it": httpx.Response(200, json={"call_id": "c1", "function": "retrieve_knowledge"}),
    "a redirection": httpx.Response(302, headers={"location": "http://elsewhere.test"}),
    "another success": httpx.Response(201, json=decision()),
    "a list": httpx.Response(200, json=[decision()]),
}


@pytest.mark.parametrize("answer", NO_DECISION.values(), ids=NO_DECISION)
async def test_without_a_decision_that_can_be_read_the_call_must_not_run(answer):
    client, _ = answering(answer)
    async with client as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        with pytest.raises(NotDecided):
            await turn.tool_call(CALL)


async def test_a_decision_is_asked_again_under_one_id_while_time_is_left():
    busy = httpx.Response(503, json={"type": "/problems/overloaded"})
    client, sent = answering(httpx.ReadError("cut"), busy, httpx.Response(200, json=decision()))
    client._decision_s = 30
    async with client as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        assert (await turn.tool_call(CALL)).allowed
    assert len(sent) == 3
    assert len({(request.headers["idempotency-key"], request.content) for request in sent}) == 1


async def test_a_key_that_observes_lets_a_call_run_and_says_why_it_would_not():
    observed = decision(decision="denied", reason="not_in_allowlist", enforce=False)
    client, _ = answering(httpx.Response(200, json=observed, headers={"endocrine-would": "denied,not_in_allowlist"}))
    async with client as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        assert (await turn.tool_call(CALL)).would == "denied,not_in_allowlist"


async def test_while_the_gateway_is_away_advice_is_strict_no_call_runs_and_nothing_is_lost(gateway):
    gateway.away = True
    async with gateway.client(decision_s=0.2) as endocrine:
        async with endocrine.turn(identity="ann", prompt="How?") as turn:
            assert (turn.mode, turn.functions, turn.modulation.advice) == ("strict", (), "unavailable")
            with pytest.raises(NotDecided):
                await turn.tool_call(CALL)
            turn.answer("Ten days.")
        await endocrine.rate(turn, 4)
        assert gateway._records == {}
        gateway.away = False
        assert await endocrine.flush()
    assert [path for path, _ in gateway._records.values()] == ["/v1/turns", "close", "/v1/feedback"]
    assert {value.get("audit_id", turn.audit_id) for _, value in gateway._records.values()} == {turn.audit_id}


async def test_what_was_captured_before_reaches_the_gateway_before_a_decision(gateway):
    gateway.away = True
    async with gateway.client() as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        await endocrine.signal("ann", "alignment_risk", 0.9, turn=turn)
        gateway.away = False
        assert (await turn.tool_call(CALL)).allowed
        paths = [path for path, _ in gateway._records.values()]
    assert paths == ["/v1/turns", "/v1/signals", "/v1/tool-calls"]


async def test_a_capture_that_cannot_be_written_is_counted_and_logged_without_its_content(gateway, caplog):
    async with gateway.client() as endocrine:
        async with endocrine.turn(identity="ann", prompt="\ud800 private", signals=5) as turn:  # type: ignore[arg-type]
            assert turn.mode == "strict"
            with pytest.raises(NotDecided):
                await turn.tool_call(CALL)
            turn.answer("private")
        assert not await endocrine.rate(turn, object(), note="private")  # type: ignore[arg-type]
        assert not await endocrine.signal("ann", "stress", float("nan"))
        assert endocrine.counts.lost == 3
    assert gateway._records == {}
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warned) == 3
    assert "private" not in "".join(warned)


async def test_an_opening_that_the_gateway_does_not_take_is_not_sent_again():
    sent = []

    def handle(request):
        sent.append(request.url.path)
        return httpx.Response(422, json={"type": "/problems/invalid", "field": "prompt"})

    transport = httpx.MockTransport(handle)
    async with Endocrine("http://gateway.test", spool=False, transport=transport) as endocrine:
        async with endocrine.turn(identity="ann", prompt="") as turn:
            assert turn.modulation.advice == "unavailable"
        assert endocrine.counts.refused == 1
    assert sent == ["/v1/turns"]


async def test_the_answer_of_a_turn_is_cut_where_it_is_too_long(gateway):
    async with gateway.client() as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        turn.answer("x" * 50_001)
    assert gateway.records("close")[0]["response"] == "x" * 50_000 + "\n\n[truncated]"


async def test_turns_run_side_by_side(gateway):
    async def one(endocrine, who):
        async with endocrine.turn(identity=who, prompt="How?") as turn:
            await turn.tool_call(CALL)
            turn.answer(who)

    async with gateway.client() as endocrine:
        await asyncio.gather(*(one(endocrine, f"user {number}") for number in range(20)))
    assert sorted(one["response"] for one in gateway.records("close")) == sorted(f"user {n}" for n in range(20))


def test_the_key_and_the_address_come_from_the_environment(monkeypatch):
    seen = []

    def handle(request):
        seen.append((str(request.url), request.headers["authorization"], json.loads(request.content)["rating"]))
        return httpx.Response(202, json={})

    monkeypatch.setenv("ENDOCRINE_URL", "http://elsewhere.test/base")
    monkeypatch.setenv("ENDOCRINE_API_KEY", "ek_1")
    with SyncEndocrine(spool=False, transport=httpx.MockTransport(handle)) as endocrine:
        endocrine.rate("t1", 3, identity="ann")
    assert seen == [("http://elsewhere.test/base/v1/feedback", "Bearer ek_1", 3)]
