"""Spans of calls to a model, as instrumentations write them."""

import json

import orjson
import pytest

P1, P2 = "How do I sort a list of numbers?", "And how do I reverse that list?"
COUNT = iter(range(10**6))


def span(attributes=None, events=(), *, trace="t1", start=100.0, **more):
    number = next(COUNT)
    return {
        "name": "chat m",
        "context": {"trace_id": trace, "span_id": more.pop("span_id", f"s{number}")},
        "parent_id": more.pop("parent_id", None),
        "start_time": start,
        "end_time": start + 1,
        "attributes": {"gen_ai.operation.name": "chat"} | (attributes or {}),
        "events": list(events),
    } | more


def said(role, content):
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def messages(given, answer=None, encode=True):
    made = {"gen_ai.input.messages": given}
    if answer is not None:
        made["gen_ai.output.messages"] = [said("assistant", answer) | {"finish_reason": "stop"}]
    return {key: json.dumps(value) if encode else value for key, value in made.items()}


def event(name, attributes=None, **more):
    return {"name": name, "timestamp": "2025-01-01T00:00:00Z", "attributes": attributes or {}} | more


@pytest.fixture
def turns(read):
    """turns(lines...) -> [(prompt, response or None)]; .got has the rest."""

    def run(*lines):
        run.got = got = read(b"".join(orjson.dumps(line) + b"\n" for line in lines), "otel-genai")
        answers = {v["audit_id"]: v["response"] for v in got.values if v["kind"] == "closed"}
        return [(v["prompt"], answers.get(v["audit_id"])) for v in got.values if v["kind"] == "opened"]

    return run


CALL = {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "x", "arguments": {}}]}
RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "42"}]}
FORMS = [
    span(messages([said("user", P1)], "Use sorted.")),
    span(messages([said("user", P1)], "Use sorted.", encode=False)),
    span(messages([{"role": "system", "content": "Be brief."}, {"role": "user", "content": P1}], "Use sorted.")),
    span({}, [event("gen_ai.client.inference.operation.details", messages([said("user", P1)], "Use sorted."))]),
    span(
        {},
        [
            event("gen_ai.user.message", {"content": P1}),
            event("gen_ai.choice", {"message": {"content": "Use sorted."}}),
        ],
    ),
    span(
        {},
        [
            event("gen_ai.user.message", body={"content": P1}),
            event("gen_ai.choice", body={"message": {"content": "Use sorted."}}),
        ],
    ),
    span({}, [event("gen_ai.user.message", {"content": P1}), event("gen_ai.choice", {"content": "Use sorted."})]),
    span(
        {},
        [
            event("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps([{"role": "user", "content": P1}])}),
            event(
                "gen_ai.content.completion",
                {"gen_ai.completion": json.dumps({"role": "assistant", "content": "Use sorted."})},
            ),
        ],
    ),
    span({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": P1, "gen_ai.completion.0.content": "Use sorted."}),
    span({"gen_ai.prompt": P1, "gen_ai.completion": "Use sorted."}),
    span(messages([{"role": "user", "content": [{"type": "text", "text": P1}]}], "Use sorted.")),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_call_is_a_turn_in_every_form_that_was_specified(turns, form):
    assert turns(form) == [(P1, "Use sorted.")]
    assert turns.got.refusals == []


@pytest.mark.parametrize(
    "value", [1.75e9, 1.75e12, 1.75e15, 1.75e18, "1750000000000000000", "2025-06-15T15:06:40Z", [1750000000, 0]]
)
def test_times_are_read_in_every_unit(turns, value):
    turns(span(messages([said("user", P1)]), start_time=value, end_time=None, start=1.0))
    assert turns.got.values[0]["ts"] == 1.75e9


def test_history_belongs_to_earlier_calls(turns):
    first = span(messages([said("user", P1)], "Use sorted."), trace="t1")
    history = [said("user", P1), said("assistant", "Use sorted."), said("user", P2)]
    second = span(messages(history, "Use reversed."), trace="t2", start=200.0)
    assert turns(first, second) == [(P1, "Use sorted."), (P2, "Use reversed.")]
    assert turns(second) == [(P2, "Use reversed.")]
    assert turns.got.noted["earlier message"] == 2


def test_calls_that_go_on_after_a_tool_are_one_turn_with_the_spans_around_them(turns):
    agent = span(messages([said("user", P1)], "Done."), span_id="a", start=99.0)
    first = span({**messages([said("user", P1)]), "gen_ai.output.messages": json.dumps([CALL])}, parent_id="a")
    second = span(messages([said("user", P1), CALL, RESULT], "Done."), parent_id="a", start=102.0)
    for order in ((first, second, agent), (agent, second, first)):
        assert turns(*order) == [(P1, "Done.")]


def test_a_result_in_the_users_name_is_no_prompt(turns):
    result = {"role": "user", "parts": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]}
    first = span({**messages([said("user", P1)]), "gen_ai.output.messages": json.dumps([CALL])})
    assert turns(first, span(messages([said("user", P1), CALL, result], "Done."), start=102.0)) == [(P1, "Done.")]


def test_the_same_question_twice_in_a_trace_is_two_turns_and_a_span_exported_twice_one(turns):
    first = span(messages([said("user", P1)], "A."), start=100.0)
    second = span(messages([said("user", P1)], "B."), start=105.0)
    assert turns(first, first, second) == [(P1, "A."), (P1, "B.")]
    assert turns.got.skipped == {"duplicate": 1}


def test_of_several_choices_the_first_is_the_answer(turns):
    attributes = messages([said("user", P1)])
    attributes["gen_ai.output.messages"] = json.dumps([said("assistant", "A."), said("assistant", "B.")])
    assert turns(span(attributes)) == [(P1, "A.")]


def test_events_that_were_logged_by_themselves_are_joined_by_their_span(turns):
    def log(name, body, at):
        return {"traceId": "t1", "spanId": "s1", "eventName": name, "body": body, "timeUnixNano": str(at * 10**9)}

    asked = log("gen_ai.user.message", {"content": P1}, 1750000000)
    answered = log("gen_ai.choice", {"index": 0, "message": {"content": "Use sorted."}}, 1750000003)
    assert turns(asked, answered) == [(P1, "Use sorted.")]
    assert [v["ts"] for v in turns.got.values] == [1.75e9, 1.75e9 + 3]
    around = span({"gen_ai.conversation.id": "conv"}, trace="t1", span_id="s1")
    assert turns(asked, answered, around) == [(P1, "Use sorted.")]
    assert turns.got.values[0]["session_id"] == "conv"


def test_parts_that_are_no_text_are_counted(turns):
    image = {"type": "blob", "modality": "image", "content": "aaaa"}
    given = [{"role": "user", "parts": [image, {"type": "text", "content": P1}]}]
    attributes = messages(given)
    thought = {"type": "reasoning", "content": "lists"}
    attributes["gen_ai.output.messages"] = json.dumps(
        [{"role": "assistant", "parts": [thought, {"type": "text", "content": "A."}]}]
    )
    assert turns(span(attributes)) == [(P1, "A.")]
    assert turns.got.noted == {"image": 1, "thinking": 1}


@pytest.mark.parametrize(
    "broken",
    [
        span({"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "te'}),
        span({"gen_ai.input.messages": 7}),
        span({"gen_ai.input.messages": [7]}),
        {"neither": "span", "nor": "event"},
    ],
)
def test_a_span_that_cannot_be_read_is_named_and_those_around_it_are_kept(turns, broken):
    around = [span(messages([said("user", P)], "A."), trace=P) for P in (P1, P2)]
    assert turns(around[0], broken, around[1]) == [(P1, "A."), (P2, "A.")]
    assert len(turns.got.refusals) == 1
    assert turns.got.refusals[0].startswith("in:2: ")


def test_spans_printed_over_several_lines_or_in_an_array_are_read(read, read_files):
    made = [span(messages([said("user", P)], "A."), trace=P) for P in (P1, P2)]
    printed = b"\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in made)
    for raw in (printed, orjson.dumps(made), orjson.dumps(made, option=orjson.OPT_INDENT_2)):
        assert read(raw, "otel-genai").prompts == [P1, P2]
        assert read_files("auto", spans=raw).prompts == [P1, P2]
    assert read(printed[:-9], "otel-genai").prompts == [P1]


def test_spans_without_messages_are_counted(turns):
    assert turns(span({"http.method": "GET"}), span(), span(messages([said("user", P1)]))) == [(P1, None)]
    assert turns.got.noted == {"span without messages": 2}


def test_whose_turn_it_is_comes_from_the_span_or_the_option(read):
    line = orjson.dumps(span({**messages([said("user", P1)]), "user.id": "ann"}))
    assert read(line, "otel-genai").values[0]["identity"] == "ann"
    assert read(line, "otel-genai", identity="bob").values[0]["identity"] == "bob"
    line = orjson.dumps(span({**messages([said("user", P1)]), "user.id": "x" * 300}))
    assert read(line, "otel-genai").values[0]["identity"] == "otel-user"


def test_traces_are_kept_up_to_a_bound(read, monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.data.ingest.otel_genai.MAX_TRACES", 1)
    lines = [span(messages([said("user", f"{P1} {n}")]), trace=f"t{n}", start=100.0 - n) for n in range(4)]
    got = read(b"".join(orjson.dumps(line) + b"\n" for line in lines), "otel-genai")
    assert got.prompts == [f"{P1} {n}" for n in (3, 2, 1, 0)]
