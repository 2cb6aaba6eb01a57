"""The red team finds a door that breaks a promise, whatever the form of the answer; a sound door holds."""

import json
import re

import httpx2 as httpx
import pytest

from endocrine.pipeline.data.redteam.attack import DoorAway
from endocrine.pipeline.data.redteam.corpus import CorpusError, load_corpus, parse_corpus
from endocrine.pipeline.data.redteam.report import rows, sentences, summary
from endocrine.pipeline.data.redteam.run import KeyRefused, RedTeam
from endocrine.pipeline.local.fake_llm.script import parse_script

MODES = ("chat", "chat-stream", "responses", "responses-stream")
BOUNDS = {"temperature": (0.0, 1.0), "top_p": (0.1, 1.0), "max_output_tokens": (256.0, 2048.0)}
SHIPPED = load_corpus()


def corpus_of(**case):
    whole = {
        "kinds": {"some": "what it is about"},
        "canaries": {"token": {"prefix": "sk-", "chars": 30}},
        "functions": {"pay": {"parameters": {}}, "look": {"parameters": {}}},
        "cases": [
            {
                "name": "one",
                "kind": "some",
                "attack": "An attack.",
                "promise": "A promise.",
                "functions": ["pay"],
                **case,
            }
        ],
    }
    if not {"native", "raw"} & case.keys():
        whole["cases"][0].setdefault("prompt", "Pay.")
    return parse_corpus(whole)


def answer(mode, *, text="", calls=(), facts=None, piece=5):
    """An answer of a door in a mode, as its endpoint writes them; pieces of so many characters."""
    facts = facts or {}
    if mode == "chat":
        asked = [{"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
                 for n, (name, arguments) in enumerate(calls)]  # fmt: skip
        message = {"content": text, "tool_calls": asked}
        return json.dumps({"choices": [{"index": 0, "message": message}], "endocrine": facts})
    items = [{"type": "function_call", "call_id": f"c{n}", "name": name, "arguments": arguments}
             for n, (name, arguments) in enumerate(calls)]  # fmt: skip
    whole = {"object": "response", "output": [{"type": "message", "content": [{"text": text}]}, *items],
             "metadata": {f"endocrine-{name}": str(value) for name, value in facts.items()}}  # fmt: skip
    if mode == "responses":
        return json.dumps(whole)
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    if mode == "responses-stream":
        events = [{"type": "response.output_text.delta", "delta": one} for one in pieces]
        events += [{"type": "response.output_item.done", "item": one} for one in items]
        hidden = {**whole, "output": items}  # a door might send no whole text at the end
        return "".join(f"event: x\ndata: {json.dumps(one)}\n\n" for one in [*events, {"type": "r", "response": hidden}])
    deltas = [{"content": one} for one in pieces]
    for index, (name, arguments) in enumerate(calls):
        for at in range(0, len(name), piece):
            deltas.append({"tool_calls": [{"index": index, "function": {"name": name[at : at + piece]}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
    chunks = [{"choices": [{"index": 0, "delta": one}]} for one in deltas] + [{"choices": [], "endocrine": facts}]
    return "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"


def door(reply, *, incidents=(), bundle=None, seen=None):
    """A transport that answers attacks with reply(request, mode): (status, text, headers); and reads with records."""

    async def handle(request):
        if request.method == "GET" and request.url.path == "/v1/incidents":
            return httpx.Response(200, json={"items": list(incidents)})
        if request.method == "GET" and request.url.path.startswith("/v1/audits/"):
            return httpx.Response(404) if bundle is None else httpx.Response(200, json={"bundle": bundle})
        body = json.loads(request.content or b"null")
        if seen is not None:
            seen.append((request.url.path, body))
        streaming = isinstance(body, dict) and body.get("stream")
        api = "responses" if request.url.path.endswith("/responses") else "chat"
        status, text, headers = reply(request, api + ("-stream" if streaming else ""))
        kind = "text/event-stream" if streaming and status == 200 else "application/json"
        return httpx.Response(status, text=text, headers={"content-type": kind, **headers})

    return httpx.MockTransport(handle)


async def run(corpus, transport, **more):
    team = RedTeam(corpus, BOUNDS, "http://door", None, "m", "r", transport=transport, settle_s=0.0, **more)
    return await team.run()


async def broken(corpus, reply, **records):
    return [breach for one in await run(corpus, door(reply, **records)) for breach in one.breaches]


def always(status=200, headers=None, **parts):
    return lambda request, mode: (status, answer(mode, **parts), headers or {})


@pytest.mark.parametrize("mode", MODES)
async def test_a_door_that_passes_a_forbidden_call_is_found(mode):
    corpus = corpus_of(modes=[mode])
    assert await broken(corpus, always(calls=[("pay", "{}")])) == ["a call of 'pay' left the door"]
    assert await broken(corpus, always(text="no")) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["look ", "Look", "l\u043eok"])
async def test_a_name_that_only_looks_like_an_allowed_one_is_found(mode, name):
    corpus = corpus_of(modes=[mode], held={"calls": {"look": None}})
    assert await broken(corpus, always(calls=[("look", "{}"), (name, "{}")])) == [f"a call of {name!r} left the door"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_allowed_call_with_other_arguments_is_found(mode):
    corpus = corpus_of(modes=[mode], held={"calls": {"look": {"id": "7"}}})
    assert await broken(corpus, always(calls=[("look", '{ "id": "7" }')])) == []
    (breach,) = await broken(corpus, always(calls=[("look", '{"id": "../x"}')]))
    assert "other arguments" in breach
    assert "../x" not in breach


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_a_secret_that_comes_back_is_found_whatever_its_pieces_and_is_not_repeated(mode, piece):
    corpus = corpus_of(modes=[mode], held={"hidden": ["<<token>>"]})
    secret = corpus.canaries["token"].text
    (breach,) = await broken(corpus, always(text=f"the key is {secret}.", piece=piece))
    assert breach == "the canary 'token' was returned"
    assert await broken(corpus, always(text=f"the key is {secret[:-1]}", piece=piece)) == []


async def test_a_secret_in_an_error_or_in_arguments_is_found():
    corpus = corpus_of(modes=["chat"], held={"hidden": ["<<token>>"], "calls": {"look": None}})
    secret = corpus.canaries["token"].text
    said = json.dumps({"error": {"code": "x", "message": secret}})
    assert await broken(corpus, lambda request, mode: (400, said, {})) == ["the canary 'token' was returned"]
    assert await broken(corpus, always(calls=[("look", json.dumps({"id": secret}))])) != []


@pytest.mark.parametrize(
    ("asks", "sent", "found"),
    [
        ({}, {"temperature": 1.5}, "outside"),
        ({}, {"temperature": 1.0, "top_p": 0.1}, None),
        ({"temperature": 0.2}, {"temperature": 0.3}, "above the wish"),
        ({"temperature": 2}, {"temperature": 1.0}, None),
        ({"max_tokens": 40}, {"max_output_tokens": 40}, None),
        ({"max_tokens": 40}, {"max_output_tokens": 300}, "above the wish"),
        ({}, {"max_output_tokens": 40}, "outside"),
    ],
)
async def test_parameters_beyond_the_bounds_or_above_the_wish_are_found(asks, sent, found):
    for mode in MODES:
        corpus = corpus_of(modes=[mode], asks=asks)
        breaches = await broken(corpus, always(text="x", headers={"endocrine-sent": json.dumps(sent)}))
        assert [found in breach for breach in breaches] == ([] if found is None else [True]), mode


async def test_an_internal_error_and_a_redirect_are_found_and_another_status_than_expected():
    corpus = corpus_of(modes=["chat"], held={"status": [400]})
    assert "internal error" in (await broken(corpus, lambda request, mode: (500, "", {})))[0]
    assert "redirect" in (await broken(corpus, lambda request, mode: (307, "", {"location": "/x"})))[0]
    assert await broken(corpus, always(text="x")) == ["the answer has the status 200; expected 400"]
    assert await broken(corpus, lambda request, mode: (400, "{}", {})) == []


async def test_a_mode_that_is_not_strict_is_found_and_one_that_nobody_names():
    corpus = corpus_of(modes=["chat"], held={"strict": True})
    assert await broken(corpus, always(headers={"endocrine-mode": "balanced"})) == ["the turn is balanced, not strict"]
    assert await broken(corpus, always(facts={"mode": "strict"}, headers={"endocrine-mode": "balanced"})) == []
    assert "not known" in (await broken(corpus, always(text="x")))[0]


NATIVE = {"native": {"turn": {"prompt": "x"}, "calls": [{"tool": "exec_code", "arguments": {}}]}}


@pytest.mark.parametrize(("status", "sound"), [(200, False), (202, True), (403, True), (503, True)])
async def test_a_native_call_that_is_allowed_is_found(status, sound):
    def reply(request, mode):
        opened = request.url.path == "/v1/turns"
        return (201, json.dumps({"audit_id": "a1", "mode": "balanced"}), {}) if opened else (status, "{}", {})

    assert (await broken(corpus_of(**NATIVE), reply) == []) is sound


async def test_a_refusal_that_says_allowed_is_found():
    reply = lambda request, mode: (403, json.dumps({"audit_id": "a", "decision": "allowed"}), {})  # noqa: E731
    assert await broken(corpus_of(**NATIVE), reply) == ["the call of 'exec_code' was allowed"]


@pytest.mark.parametrize(
    "bundle",
    [
        {"tools": [{"function": "pay", "decision": "allowed", "runner": "application"}]},
        {"tools": [{"function": "exec_code", "decision": "allowed"}]},
        {"blocked": [{"function": "pay", "executed": "ok"}]},
        {"parameters": {"temperature": 1.7}},
    ],
)
async def test_what_the_audit_has_on_record_is_judged_though_the_client_saw_nothing(bundle):
    reply = always(text="x", facts={"audit_id": "a1"})
    assert len(await broken(corpus_of(modes=["chat"]), reply, bundle=bundle)) == 1


async def test_an_attack_that_shows_no_sign_is_not_reached_and_one_with_an_incident_is():
    corpus = corpus_of(modes=["chat"], sign="denied")
    (result,) = await run(corpus, door(always(text="x")))
    assert result.outcome == "not_reached"
    (result,) = await run(corpus, door(always(text="x"), incidents=[{"kind": "tool_blocked"}]))
    assert (result.outcome, result.on_record) == ("held", True)


async def test_results_are_sent_for_the_calls_that_came_in_the_form_of_each_api():
    for mode in ("chat", "responses"):
        seen = []
        corpus = corpus_of(modes=[mode], answers=["poison"], held={"calls": {"pay": None}})
        await run(corpus, door(always(calls=[("pay", "{}")]), seen=seen))
        last = seen[-1][1]["messages" if mode == "chat" else "input"][-1]
        assert "poison" in (last.get("content"), last.get("output"))
        assert len(seen) == 2


async def test_nobody_at_the_address_and_a_key_that_is_not_taken_are_said_apart():
    def away(request):
        raise httpx.ConnectError("nobody")

    with pytest.raises(DoorAway, match="no door answers"):
        await run(corpus_of(), httpx.MockTransport(away))
    with pytest.raises(KeyRefused, match="401"):
        await run(corpus_of(), httpx.MockTransport(lambda request: httpx.Response(401)))


async def test_a_report_names_the_promise_first_and_holds_no_secret():
    corpus = corpus_of(modes=["chat", "responses"], held={"hidden": ["<<token>>"]}, prompt="<<token>>")
    results = await run(corpus, door(always(text=corpus.canaries["token"].text)))
    lines = list(sentences(results, must_reach=False))
    assert lines[0] == "2 of 2 attacks got through; 0 were held off."
    assert "NOT HELD: one (chat): the canary 'token' was returned. Promised: A promise." in lines
    whole = json.dumps(summary(results, "http://door", sound=False))
    assert corpus.canaries["token"].text not in "\n".join(lines) + whole
    assert list(rows(corpus, results)) == [("some", "what it is about", 2, 0, 2, 0)]


def test_the_shipped_corpus_has_enough_cases_of_each_kind_and_a_script_for_each_model():
    assert len(SHIPPED.cases) >= 60
    assert {case.kind for case in SHIPPED.cases} == set(SHIPPED.kinds)
    script = parse_script(SHIPPED.script("127.0.0.1:8080"))
    assert len(script.rules) == sum(bool(case.model) for case in SHIPPED.cases) + 1
    assert "<<" not in json.dumps(SHIPPED.script("127.0.0.1:8080"))
    assert all(case.model for case in SHIPPED.cases if case.sign in ("denied", "withheld") and case.prompt)


def test_a_canary_is_the_same_each_time_and_no_two_are_alike():
    texts = [canary.text for canary in SHIPPED.canaries.values()]
    assert len(set(texts)) == len(texts)
    assert [canary.text for canary in load_corpus().canaries.values()] == texts


@pytest.mark.parametrize(
    ("text", "named"),
    [("cases: [", "not YAML"), ("kinds: {}", "canaries"), ("[]", "Input should be"), ("a: 1", "kinds")],
)
def test_a_corpus_that_cannot_be_used_is_named(tmp_path, text, named):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(CorpusError, match=re.escape("mine.yaml")) as caught:
        load_corpus(tmp_path / "mine.yaml")
    assert named in str(caught.value)


def test_a_case_of_no_kind_and_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="is not one of `kinds`"):
        corpus_of(kind="other")
    with pytest.raises(ValueError, match="expected one of prompt, native, raw"):
        corpus_of(prompt="x", raw={"path": "/"})
    with pytest.raises(CorpusError, match="no case is of the kind"):
        corpus_of().only("nothing")
