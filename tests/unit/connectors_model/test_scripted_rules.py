"""The script of the stand-in for a model."""

import pytest

from endocrine.pipeline.local.fake_llm.script import (
    Conversation,
    ScriptError,
    Step,
    choose,
    filled,
    load_script,
    parse_script,
)
from endocrine.pipeline.local.fake_llm.shapes import (
    answer,
    chat,
    chat_chunks,
    of_chat,
    of_responses,
    response,
    response_events,
)


def asked(prompt: str, replied: int = 0) -> Conversation:
    return Conversation("", prompt, replied, ["found it"], ["open_url"])


def test_the_bundled_script_has_an_answer_for_everything() -> None:
    script = load_script()
    for prompt in ("hello", "what?", "open http://x", "tell me everything", "remind me", "my password"):
        assert choose(script, asked(prompt)) is not None
    assert script.notes


def test_every_answer_is_labelled() -> None:
    script = load_script()
    for rule in script.rules:
        for step in rule.steps:
            reply = answer(script, step, asked("x"), {"model": "scripted"}, 1)
            for text in (reply.text, reply.refusal):
                assert text is None or text.startswith("[scripted] ")


def test_the_first_rule_that_fits_answers_step_by_step_and_stays_at_the_last() -> None:
    rules = [
        {"name": "a", "when": "^open", "steps": [{"text": "1"}, {"text": "2"}]},
        {"name": "b", "steps": [{"text": "3"}]},
    ]
    script = parse_script({"rules": rules})
    assert [choose(script, asked("Open it", n)) for n in (0, 1, 5)] == [
        (script.rules[0], 0),
        (script.rules[0], 1),
        (script.rules[0], 1),
    ]
    assert choose(script, asked("close it")) == (script.rules[1], 0)


def test_texts_show_what_tools_gave() -> None:
    assert filled("{results} / {offered} / {prompt}", asked("hi {x}")) == "found it / open_url / hi {x}"


def test_both_apis_tell_the_same_conversation() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "old"},
        {"role": "assistant", "content": "before"},
        {"role": "user", "content": "new"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "c", "content": "out"},
    ]
    items = [
        *messages[:4],
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "out"},
    ]
    of_one = of_chat({"messages": messages, "tools": [{"function": {"name": "f"}}]})
    assert of_one == of_responses({"input": items, "tools": [{"name": "f"}]})
    assert (of_one.prompt, of_one.replied, of_one.results) == ("new", 1, ["out"])


def test_streams_say_what_whole_replies_say() -> None:
    script = load_script()
    step = Step.model_validate(
        {"text": "a longer text than one chunk holds", "calls": [{"tool": "f", "arguments": "{"}]}
    )
    reply = answer(script, step, asked("x"), {"model": "scripted"}, 1)
    text = "".join(choice["delta"].get("content") or "" for chunk in chat_chunks(reply) for choice in chunk["choices"])
    assert text == chat(reply)["choices"][0]["message"]["content"]
    assert list(response_events(reply))[-1]["response"] == response(reply)


def test_a_script_that_cannot_be_used_is_refused_with_its_name(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rules: [{name: a, when: '(', steps: [{text: x}]}]")
    with pytest.raises(ScriptError, match=r"mine\.yaml"):
        load_script(file)


def test_a_rule_that_needs_a_function_begins_only_where_it_is_offered_and_then_goes_on() -> None:
    script = load_script()

    def rule(offered: list[str], replied: int = 0) -> str:
        found = choose(script, Conversation("", "how long do refunds take?", replied, [], offered))
        assert found is not None
        return found[0].name

    assert rule(["retrieve_knowledge"]) == "look it up"
    assert rule([]) == "anything else"
    assert rule([], replied=1) == "look it up"
