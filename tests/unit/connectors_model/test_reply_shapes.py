"""Recorded replies of model servers, by server: each is read right, however its bytes are cut."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from endocrine.pipeline.connectors.model.failures import Failed


def test_a_recorded_reply_is_read_right(shape: Any, replies: SimpleNamespace) -> None:
    if "error" in shape.entry:
        assert failed(shape, replies).kind == shape.entry["error"]
        return
    expected = shape.entry["expect"]
    outcome = replies.read(shape.api, shape.data)
    usage = [outcome.input_tokens, outcome.output_tokens]
    assert outcome.content == expected.get("content")
    assert outcome.refusal == expected.get("refusal")
    assert [list(call) for call in outcome.calls] == expected.get("calls", [])
    assert outcome.finish_reason == expected["finish"]
    assert (outcome.problem or "").partition(":")[0] == expected.get("problem", "")
    assert usage == expected.get("usage", usage)
    assert outcome.reasoning_chars == expected.get("reasoning", 0)


def test_a_reply_that_comes_byte_by_byte_is_the_same(shape: Any, replies: SimpleNamespace) -> None:
    if "expect" in shape.entry:
        cuts = range(len(shape.data))
        assert replies.read(shape.api, shape.data, cuts) == replies.read(shape.api, shape.data)


def test_errors_quote_nothing_of_the_provider(shape: Any, replies: SimpleNamespace) -> None:
    if "error" in shape.entry:
        text = str(failed(shape, replies))
        quoted = ("slow down", "Model unloaded", "free-models", "API key", "Something", "half", "engine")
        assert not [word for word in quoted if word in text]


def test_every_server_is_there_and_no_name_twice(replies: SimpleNamespace) -> None:
    counted = Counter(shape.server for shape in replies.shapes)
    servers = {"openai", "azure", "vllm", "ollama", "lmstudio", "llamacpp", "mistral", "gemini", "anthropic"}
    assert servers | {"openrouter", "litellm", "others"} == set(counted)
    assert sum(counted.values()) - counted["openai"] >= 40
    assert max(Counter((shape.server, shape.name) for shape in replies.shapes).values()) == 1


def failed(shape: Any, replies: SimpleNamespace) -> Failed:
    if shape.entry.get("status"):
        found: Failed = replies.failure(shape)
        return found
    with pytest.raises(Failed) as caught:
        replies.read(shape.api, shape.data)
    return caught.value
