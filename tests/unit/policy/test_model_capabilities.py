"""Which entry of the shipped map holds for a model's name, whatever a proxy or cloud puts before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents.conversation.capabilities import ReplyBounds, bare_name, fitted
from endocrine.pipeline.process.policy_files import shipped_policy

RULES = shipped_policy().document.models
PARAMETERS = {"temperature": 0.6, "top_p": 0.9, "reasoning_effort": 0.5}
PREFIXES = ["", "openai/", "azure/", "openrouter/openai/", "litellm/azure/", "models/", "bedrock/", "us.openai."]


def sent(model):
    parameters, dropped = fitted(PARAMETERS, 300, ["END"], RULES.of(model))
    return set(parameters), dropped


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "name", ["gpt-5", "gpt-5-2025-08-07", "GPT-5-mini", "o3", "o4-mini-2025-04-16", "gpt-5.1-codex"]
)
def test_reasoning_models_get_no_temperature_under_any_prefix(prefix, name):
    assert sent(prefix + name) == ({"max_output_tokens", "reasoning_effort"}, ["temperature", "top_p", "stop"])
    assert RULES.of(prefix + name).max_tokens_name == "max_completion_tokens"


@pytest.mark.parametrize(
    "name",
    [
        "claude-sonnet-4-5",
        "anthropic/claude-opus-4.1",
        "openrouter/anthropic/claude-3.7-sonnet:thinking",
        "bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0",
        "vertex_ai/claude-opus-4@20250514",
        "anthropic/claude-3-5-sonnet-20241022",
    ],
)
def test_claude_gets_one_of_temperature_and_top_p_and_the_other_is_named(name):
    assert sent(name) == ({"temperature", "max_output_tokens", "stop"}, ["top_p", "reasoning_effort"])


@pytest.mark.parametrize(
    "name", ["claude-opus-4-7", "anthropic/claude-opus-4.7", "global.anthropic.claude-opus-4-8-v1:0"]
)
def test_the_newest_claude_gets_neither(name):
    assert sent(name) == ({"max_output_tokens", "stop"}, ["temperature", "top_p", "reasoning_effort"])


@pytest.mark.parametrize(
    "name", ["mistral-large-latest", "models/gemini-2.5-pro", "qwen3:8b", "openai/gpt-oss-120b", "/", ""]
)
def test_anything_else_is_asked_as_a_compatible_server_is(name):
    assert sent(name)[0] == {"temperature", "top_p", "max_output_tokens", "stop"}
    assert RULES.of(name).max_tokens_name == "max_tokens"


@pytest.mark.parametrize(("name", "api"), [("gpt-5", "responses"), ("openai/gpt-5", "chat"), ("local", "chat")])
def test_names_with_a_path_are_asked_through_what_every_proxy_knows(name, api):
    assert RULES.api_of(name) == api


@given(st.text(max_size=256))
def test_every_name_has_an_entry(name):
    assert RULES.of(name) in RULES.models
    assert RULES.of(f"proxy/{name}") == RULES.of(name) or not bare_name(name)


def test_the_shipped_bounds_are_those_of_a_policy_that_names_none():
    assert RULES.bounds == ReplyBounds()
