"""What a chat completion asks for, and every way in which one is refused."""

import base64
import contextlib
import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.gateway.openai.chat_request import parse_chat
from endocrine.pipeline.gateway.openai.opening import turn_request
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.schemas.interactions import Opened

CALLER = Caller("shop", frozenset({"capture"}), identity="shop-key")
RULES = ApplicationRules()
FUNCTION = {"name": "weather", "description": "Weather.", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION}
PIXEL = b"\x89PNG\r\n\x1a\n not really"
DATA_URL = "data:image/png;base64," + base64.b64encode(PIXEL).decode()


def request(**other):
    return {"model": "small", "messages": [{"role": "user", "content": "Hello"}], **other}


def parse(body):
    return parse_chat(orjson.dumps(body))


def opened(body, headers=None, caller=CALLER, rules=RULES):
    return turn_request(parse(body), caller, rules, headers or {}, session_key=b"key").opened


def refused(body, parser=parse):
    with pytest.raises(Refused) as caught:
        parser(body)
    return caught.value.code, caught.value.param


def test_a_turn_has_what_the_contract_says():
    image = {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}
    history = [
        {"role": "system", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": "Weather in Bonn?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": [{"type": "text", "text": "And here?"}, image]},
    ]
    asked = {
        "temperature": 1.5,
        "top_p": 0.9,
        "max_tokens": 80,
        "max_completion_tokens": 50,
        "stop": "END",
        "seed": 4,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
    }
    note = f"[image sha256:{hashlib.sha256(PIXEL).hexdigest()} {len(PIXEL)} bytes]"
    found = opened(request(messages=history, tools=[TOOL], **asked))
    session = found.pop("session_id")
    assert found == {
        "kind": "opened",
        "identity": "shop-key",
        "turn": 1,
        "client": "shop",
        "model": "small",
        "prompt": f"And here?\n{note}",
        "respond": True,
        "enforce": True,
        "door": "openai",
        "messages": [
            {"role": "system", "content": "Be\nkind."},
            {"role": "user", "content": "Weather in Bonn?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Bonn"}}],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
            {"role": "assistant", "content": "It rains."},
            {"role": "user", "content": f"And here?\n{note}"},
        ],
        "application_tools": [FUNCTION],
        "asked": {
            "temperature": 1.5,
            "top_p": 0.9,
            "max_output_tokens": 50,
            "stop": ["END"],
            "seed": 4,
            "reasoning_effort": "low",
            "response_format": {"type": "json_object"},
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    }
    assert session.startswith("s-")
    first = opened(request(messages=history[:2]))
    assert first["session_id"] == session, "the session is the same from its first turn on"
    assert opened(request())["session_id"] != session
    old = {name: value for name, value in found.items() if name in Opened.model_fields}
    Opened.model_validate({**old, "session_id": session, "audit_id": "a", "ts": 1.0})


def test_the_digest_of_a_session_needs_the_key():
    one, other = (turn_request(parse(request()), CALLER, ApplicationRules(), {}, session_key=k) for k in (b"1", b"2"))
    assert one.opened["session_id"] != other.opened["session_id"]


@pytest.mark.parametrize(
    ("source", "header", "user", "expected"),
    [
        ("any", "ann", "bob", "ann"),
        ("any", None, "bob", "bob"),
        ("any", None, None, "key"),
        ("header", "ann", "bob", "ann"),
        ("header", None, "bob", "key"),
        ("user", "ann", "bob", "bob"),
        ("user", "ann", None, "key"),
        ("fixed", "ann", "bob", "key"),
    ],
)
def test_the_identity_comes_from_where_the_key_lets_it(source, header, user, expected):
    caller = Caller("shop", frozenset(), identity="key", identity_from=source)
    headers = {} if header is None else {"endocrine-identity": header}
    assert opened(request(user=user), headers, caller)["identity"] == expected
    assert opened(request(safety_identifier=user), headers, caller)["identity"] == expected


def test_headers_are_utf8_and_bounded():
    headers = {"endocrine-identity": "Zoë".encode().decode("latin-1"), "endocrine-session": "s1"}
    found = opened(request(), headers)
    assert (found["identity"], found["session_id"]) == ("Zoë", "s1")
    for bad in ("x" * 257, "\xff", "a\x01b"):
        assert refused({}, lambda _, bad=bad: opened(request(), {"endocrine-session": bad})) == (
            "invalid_value",
            "endocrine-session",
        )


NEEDLESS = {
    "n": 1,
    "store": False,
    "logprobs": False,
    "frequency_penalty": 0,
    "presence_penalty": 0.0,
    "logit_bias": {},
    "modalities": ["text"],
    "service_tier": "auto",
    "verbosity": "medium",
    "prompt_cache_key": "k",
    "metadata": {"a": "b"},
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "audio": None,
    "tools": None,
    "stop": None,
    "temperature": None,
    "response_format": {"type": "text"},
}


def test_what_changes_nothing_is_accepted():
    parsed = parse(request(**NEEDLESS))
    assert parsed.asked == {}
    assert parsed.include_usage


@pytest.mark.parametrize(
    ("other", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"store": True}, "store"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"functions": [FUNCTION]}, "functions"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_is_not_supported_is_named(other, param):
    assert refused(request(**other)) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    ("other", "param"),
    [
        ({"wibble": 1}, "wibble"),
        ({"previous_response_id": "x"}, "previous_response_id"),
        ({"messages": [{"role": "user", "content": "x", "wobble": 2}]}, "messages[0].wobble"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "user": 2}]}]},
            "messages[0].content[0].user",
        ),
        ({"tools": [{"type": "function", "function": {**FUNCTION, "x": 1}}]}, "tools[0].function.x"),
        ({"stream_options": {"y": True}}, "stream_options.y"),
        ({"messages": [{"role": "user", "content": "x", "user": 1}]}, "messages[0].user"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "y": 1}}},
            "response_format.json_schema.y",
        ),
    ],
)
def test_unknown_fields_are_named(other, param):
    assert refused(request(**other)) == ("unknown_parameter", param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "missing_required_parameter", "model"),
        ({"model": "small"}, "missing_required_parameter", "messages"),
        (request(messages=[]), "invalid_value", "messages"),
        (request(messages=[{"content": "x"}]), "invalid_value", "messages[0]"),
        (request(messages=[{"role": "wizard", "content": "x"}]), "invalid_value", "messages[0]"),
        (request(messages=[{"role": "user"}]), "missing_required_parameter", "messages[0].content"),
        (request(messages=[{"role": "user", "content": 5}]), "invalid_value", "messages[0].content"),
        (
            request(messages=[{"role": "tool", "content": "x"}]),
            "missing_required_parameter",
            "messages[0].tool_call_id",
        ),
        (request(temperature="hot"), "invalid_value", "temperature"),
        (request(temperature=2.5), "invalid_value", "temperature"),
        (request(max_tokens=0), "invalid_value", "max_tokens"),
        (request(max_tokens=1.5), "invalid_value", "max_tokens"),
        (request(stop=["a"] * 5), "invalid_value", "stop"),
        (request(model=""), "invalid_value", "model"),
        (request(stream="yes"), "invalid_value", "stream"),
        (request(tools=[TOOL] * 129), "invalid_value", "tools"),
        (
            request(tools=[{"type": "function", "function": {"name": "no spaces"}}]),
            "invalid_value",
            "tools[0].function.name",
        ),
        (request(tool_choice={"type": "function", "function": {"name": "x"}}), "invalid_value", "tool_choice"),
        (request(response_format={"type": "json_schema"}), "missing_required_parameter", "response_format.json_schema"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(body, code, param):
    assert refused(body) == (code, param)


def test_a_refusal_never_repeats_a_value():
    for body in (
        request(temperature="hush-hush"),
        request(messages=[{"role": "hush-hush", "content": "x"}]),
        request(messages=[{"role": "user", "content": [{"type": "hush-hush"}]}]),
        request(tool_choice="hush-hush"),
        request(user=["hush-hush"]),
        request(tools=[{"type": "function", "function": {"name": "hush hush-hush"}}]),
    ):
        with pytest.raises(Refused) as caught:
            parse(body)
        assert "hush-hush" not in str(caught.value)


def test_what_is_no_json_object_is_refused():
    for data in (b"", b"{", b"[]", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 5000, b'{"model": "\\ud800"}'):
        with pytest.raises(Refused) as caught:
            parse_chat(data)
        assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "system", "content": "x"}], "messages[0]"),
        ([{"role": "user", "content": ""}], "messages[0]"),
        (
            [
                {"role": "user", "content": "x"},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "[]"}}],
                },
                {"role": "user", "content": "y"},
            ],
            "messages[1].tool_calls[0]",
        ),
    ],
)
def test_what_no_record_can_hold_is_refused(messages, param):
    assert refused(request(messages=messages), opened) == ("invalid_value", param)


def test_names_of_our_own_tools_are_taken_and_names_are_there_once():
    rules = ApplicationRules(reserved_names=frozenset({"weather"}))
    assert refused(request(tools=[TOOL]), lambda body: opened(body, rules=rules)) == (
        "tool_name_taken",
        "tools[0].function.name",
    )
    assert refused(request(tools=[TOOL, TOOL]), opened) == ("invalid_value", "tools[1].function.name")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(["messages", "tools", "stop", "n", "tool_choice", "stream_options", "user", "response_format"])


@given(
    st.dictionaries(_NAMES, _JSON, max_size=4),
    st.lists(
        st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "name"]),
            st.sampled_from(["user", "tool", "assistant", "system"]) | _JSON,
            max_size=4,
        ),
        max_size=3,
    ),
)
def test_no_body_raises_anything_but_refused(other, messages):
    body = request(
        **({"messages": messages} if messages else {}),
        **{k: v for k, v in other.items() if k != "messages" or not messages},
    )
    try:
        data = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return
    with contextlib.suppress(Refused):
        turn_request(parse_chat(data), CALLER, RULES, {}, session_key=b"k")


def test_a_request_that_is_not_streamed_says_so_where_the_policy_has_a_window():
    windowed, buffered = ApplicationRules(stream="windowed"), ApplicationRules()
    assert opened(request(), rules=windowed)["streamed"] is False
    assert "streamed" not in opened(request(stream=True), rules=windowed)
    assert "streamed" not in opened(request(), rules=buffered)


@pytest.mark.parametrize(
    ("stream", "rules", "taken"), [(True, "windowed", True), (False, "windowed", False), (True, "buffered", None)]
)
def test_each_request_says_how_its_answer_is_taken_where_that_counts(stream, rules, taken):
    """A continuation writes no opening: its results say it."""
    parsed = parse_chat(orjson.dumps(request(stream=stream)))
    found = turn_request(parsed, CALLER, ApplicationRules(stream=rules), {}, session_key=b"k")
    assert found.streamed is taken
