"""Door, wishes, latency, tokens, cost and degraded tools in the bundle."""

import pytest

from endocrine.schemas.images import image_note

_ENTRY = {"api": "chat", "takes": ["max_output_tokens"], "max_tokens_name": "max_tokens"}
MODELS = {"models": [{"match": "gpt*", **_ENTRY, "price": {"input": 2.0, "output": 10.0}}, {"match": "*", **_ENTRY}]}
APPLICATION = {"tool": None, "function": "read_file", "runner": "application"}


def whole(ear, records, *more, opened=None, **sections):
    listener = ear(**sections)
    told = listener.feed(records.opened(**(opened or {})), records.modulation(), *more, records.closed())
    assert len(told) == 1
    return told[0]


def test_the_door_and_the_wishes_are_named_without_what_holds_text(ear, records):
    asked = {"temperature": 1.5, "stop": ["xylophone-stop"], "tool_choice": "auto", "seed": 7}
    told = whole(ear, records, opened={"door": "openai", "asked": asked})
    assert (told["door"], told["enforce"], told["stream"]) == ("openai", True, None)
    assert told["asked"] == {"temperature": 1.5, "seed": 7, "tool_choice": "auto"}
    assert "observed" not in told["explanation"]


def test_an_observed_turn_says_so(ear, records):
    told = whole(ear, records, opened={"enforce": False})
    assert told["enforce"] is False
    assert "It was observed: all was decided and recorded, and nothing changed on the way." in told["explanation"]


def test_a_turn_with_images_counts_them_and_says_that_nobody_judged_them(ear, records):
    digest = "a" * 64
    note = image_note(digest, 9)
    about = {"digest": digest, "size": 9, "source": "data", "media_type": "image/png", "partition": 0, "offsets": [7]}
    images = [{"message": 0, "start": start, **about} for start in (0, len(note) + 1)]
    messages = [{"role": "user", "content": f"{note}\n{note}"}]
    told = whole(ear, records, opened={"messages": messages, "images": images})
    assert told["opened"]["images"] == 2
    assert "2 images, of which nothing was judged but the text beside" in told["explanation"]
    assert digest not in str(told)


def test_a_windowed_answer_says_that_no_veto_was_possible(ear, records):
    told = whole(ear, records, records.request(stream="windowed"), records.reply())
    assert told["stream"] == "windowed"
    assert "so no veto was possible" in told["explanation"]


def test_advice_that_came_too_late_says_what_the_application_was_given_instead(ear, records):
    sentence = "Its application was given strict defaults (strict), because its parameters did not come within 2000 ms."
    told = whole(ear, records, records.late(), records.late())
    assert told["advice_late"] == {"within_ms": 2000, "mode": "strict", "ts": 102.0}
    assert sentence in told["explanation"]
    assert len(told["records"]["late-advice"]) == 1
    assert "advice_late" not in whole(ear, records)
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.closed())
    (supplement,) = listener.feed(records.late())
    assert (supplement["supplement"], sentence in supplement["explanation"]) == (1, True)


def test_latency_is_given_in_all_and_by_step(ear, records):
    told = whole(
        ear, records,
        records.request(), records.reply(), records.call(), records.decision(), records.result(),
        records.request("r2", step=2), records.reply("r2", step=2, latency_ms=50.25),
    )  # fmt: skip
    assert told["latency_ms"] == {
        "total": 10_000.0,
        "steps": [
            {"step": 1, "model_ms": 400.0, "tools_ms": 12.5},
            {"step": 2, "model_ms": 50.25, "tools_ms": None},
        ],
    }


def test_tokens_are_given_by_model_step_and_by_what_its_tools_added_to_the_next(ear, records):
    told = whole(
        ear, records,
        records.request(purpose="answer"), records.reply(),
        records.request("g", purpose="guardian"), records.reply("g", usage={"input_tokens": 5, "output_tokens": 1}),
        records.request("r2", step=2, purpose="answer"),
        records.reply("r2", step=2, usage={"input_tokens": 100, "output_tokens": 8}),
    )  # fmt: skip
    assert told["tokens"] == [
        {"step": 1, "model": {"input_tokens": 35, "output_tokens": 13}, "tools": 58},
        {"step": 2, "model": {"input_tokens": 100, "output_tokens": 8}, "tools": None},
    ]


def test_cost_is_given_by_model_at_the_policys_prices(ear, records):
    told = whole(
        ear, records,
        records.request(), records.reply(), records.request("r2", step=2, model="llama"),
        records.reply("r2", step=2, model="llama"), models=MODELS,
    )  # fmt: skip
    assert told["cost"] == {"currency": "USD", "total": 0.00018, "models": {"gpt-4o-mini-2": 0.00018, "llama": None}}
    assert whole(ear, records)["cost"] is None


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"output": {"error": "left alone", "degraded": True}}, ["browser"]),
        ({"output": {"error": "failed"}}, []),
        ({"output": {"degraded": True}, "tool": "xylophone"}, []),
        ({"output": {"degraded": True}, "runner": "application"}, []),
    ],
)
def test_a_tool_with_an_open_breaker_is_degraded(ear, records, more, names):
    told = whole(ear, records, records.call(), records.decision(), records.result(status="error", **more))
    assert told["degraded"] == names
    assert ("Left alone because they kept failing: browser." in told["explanation"]) == bool(names)


def test_a_call_denied_because_of_the_gates_breaker_is_degraded(ear, records):
    denied = records.decision(decision="denied", reason="circuit_open")
    assert whole(ear, records, records.call(), denied)["degraded"] == ["browser"]


def test_calls_of_the_application_say_who_runs_them(ear, records):
    told = whole(
        ear, records,
        records.call(tool="read_file", runner="application"), records.decision(**APPLICATION),
        records.result(tool="read_file", runner="application"),
        records.call("c2", tool="read_file"), records.decision("c2", **APPLICATION, decision="denied",
                                                               reason="invalid_arguments"),
    )  # fmt: skip
    assert [call["runner"] for call in (*told["tools"], *told["blocked"])] == ["application", "application"]


def test_a_denied_call_that_an_observed_turn_passed_on_is_no_breach(ear, records):
    denied = records.decision(**APPLICATION, decision="denied", reason="not_in_allowlist")
    result = records.result(tool="read_file", runner="application")
    calls = (records.call(tool="read_file"), denied, result)
    assert "must not be" not in whole(ear, records, *calls, opened={"enforce": False})["explanation"]
    assert "must not be" in whole(ear, records, *calls)["explanation"]


def test_the_headline_gives_the_final_mode(ear, records):
    strict = records.modulation(revision=1, parameters={"safety_mode": "strict"})
    assert whole(ear, records, strict)["headline"] == "balanced, strict from revision 1"
