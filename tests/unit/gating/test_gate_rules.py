"""The gate's sections of the policy: what is shipped, and what is refused."""

import copy

import pytest
from pydantic import ValidationError

from endocrine.agents._shared.prompt_keys import PromptKeyMissing, fingerprint, prompt_key
from endocrine.agents.gating.rules import GatingRules, ToolRegistry
from endocrine.agents.policy.compiled import compile_policy
from endocrine.pipeline.process.policy_files import shipped_policy

KEY = b"a key of 32 bytes, of this test.".ljust(32, b".")


def test_the_shipped_registry_is_the_table_of_the_rules(shipped):
    registry = ToolRegistry.model_validate(shipped("tools"))
    assert registry.by_function == {
        "retrieve_knowledge": "retrieval",
        "open_url": "browser",
        "schedule_task": "scheduler",
        "web_search": "search",
        "exec_code": "code_exec",
    }
    assert {name: registry.flag(name) for name in registry.names} == {
        "retrieval": None,
        "scheduler": None,
        "browser": "BROWSER_TOOL",
        "search": "SEARCH_TOOL",
        "code_exec": "CODE_EXEC_TOOL",
    }


def test_the_shipped_values_are_those_of_the_rules(shipped):
    rules = GatingRules.model_validate(shipped("gating"))
    assert rules.step_limit == 6
    assert rules.summary_chars == 180
    assert rules.redacted_keys[:8] == ("key", "token", "authorization", "email", "phone", "pii", "password", "secret")
    assert rules.prompt_hmac_key_id is None


def test_validators_are_compiled_once(shipped):
    registry = ToolRegistry.model_validate(shipped("tools"))
    assert registry.validators["retrieval"] is registry.validators["retrieval"]


CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
BAD = [
    ({"function": "web_search"}, "belongs to search"),
    ({"function": "Web_Search"}, "belongs to search"),
    ({"function": "open url"}, "pattern"),
    ({"arguments": {**CLOSED, "type": "array"}}, "'array'"),
    ({"arguments": {"type": "object", "properties": {}}}, "additionalProperties"),
    ({"arguments": {**CLOSED, "properties": {"a": {"type": "object"}}}}, "additionalProperties"),
    ({"arguments": {**CLOSED, "properties": {"a": {"$ref": "http://example.org/a"}}}}, r"\$ref"),
    ({"arguments": {**CLOSED, "properties": {"a": {"type": "strang"}}}}, "not a JSON Schema"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_registry_with_a_mistake_is_refused(shipped, change, message):
    tools = shipped("tools")
    # after `search`, so that the message about a function used twice names that one
    tools["browser"] = {**tools.pop("browser"), **change}
    with pytest.raises(ValidationError, match=message):
        ToolRegistry.model_validate(tools)


@pytest.mark.parametrize("name", ["Telephone", "tele phone", "télephone", "telephon\u0435", "1call", "", "t" * 65])
def test_a_canonical_name_is_plain_lower_case(shipped, name):
    tools = shipped("tools")
    with pytest.raises(ValidationError):
        ToolRegistry.model_validate({**tools, name: {**tools["browser"], "function": "dial"}})


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_hmac_key": "a key of 16 letters and more"},
        {"prompt_hmac_key_id": "k1"},
        {"prompt_hmac_key_id": "0" * 64},
        {"redacted_keys": []},
        {"step_limit": 0},
        {"summary_chars": 181},
    ],
)
def test_gating_rules_with_a_mistake_are_refused(shipped, change):
    with pytest.raises(ValidationError):
        GatingRules.model_validate({**shipped("gating"), **change})


def test_the_key_of_the_prompt_hash_is_no_part_of_the_policy_and_not_printed():
    document = copy.deepcopy(dict(shipped_policy().resolved))
    document["gating"]["prompt_hmac_key_id"] = fingerprint(KEY)
    keyed, bare = compile_policy(document, {fingerprint(KEY): KEY}), compile_policy(document)
    assert keyed.digest == bare.digest
    assert KEY.decode() not in repr(keyed) + repr(keyed.resolved)
    assert prompt_key(keyed) == KEY
    with pytest.raises(PromptKeyMissing, match="ENDOCRINE_PROMPT_KEY_FILE"):
        prompt_key(bare)
