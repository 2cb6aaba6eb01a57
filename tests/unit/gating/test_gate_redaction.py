"""What may be shown of arguments."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.redaction import REDACTED, redact, summarise
from properties import examples


@pytest.fixture(scope="module")
def rules(make_policy):
    return make_policy().document.gating


SECRET_NAMES = ["key", "API_KEY", "monkey", "token", "refreshToken", "Authorization", "email", "work_email"]
SECRET_NAMES += ["phone_number", "PII", "password", "PASSWORD1", "client-secret", "ｔoken"]


@pytest.mark.parametrize("key", SECRET_NAMES)
def test_a_key_whose_name_contains_one_of_the_words_is_redacted(rules, key):
    assert redact({key: "s3cret", "a": {"b": [{key: {"c": "s3cret"}}]}}, rules) == {
        key: REDACTED,
        "a": {"b": [{key: REDACTED}]},
    }


def test_other_keys_are_kept_as_they_are(rules):
    value = {"query": "peptides", "k": 3, "list": [1, None, True, 2.5]}
    assert redact(value, rules) == value


def test_json_inside_a_string_is_redacted_too(rules):
    inner = json.dumps({"user": "ann", "password": "hunter2", "more": json.dumps({"token": "hunter3"})})
    shown = redact({"body": inner}, rules)["body"]
    assert "hunter" not in shown
    assert "ann" in shown


def test_parameters_of_an_address_are_redacted(rules):
    shown = redact({"url": "https://example.org/a?q=cells&api_key=hunter2&x=1&access_token=hunter3#top"}, rules)["url"]
    assert shown == f"https://example.org/a?q=cells&api_key={REDACTED}&x=1&access_token={REDACTED}#top"


def test_what_is_deeper_than_the_limit_is_not_shown(rules):
    value = "s3cret"
    for _ in range(40):
        value = {"a": value}
    assert "s3cret" not in str(redact(value, rules))


def test_redacting_does_not_change_the_original(rules):
    value = {"token": "x", "a": [{"email": "y"}]}
    redact(value, rules)
    assert value == {"token": "x", "a": [{"email": "y"}]}


def test_a_summary_is_compact_json_and_at_most_180_characters(rules):
    assert summarise({"query": "peptides", "token": "x"}, rules) == '{"query":"peptides","token":"[redacted]"}'
    assert summarise('{"query": "peptides"}', rules) == '{"query":"peptides"}'
    long = summarise({"query": "x" * 1000}, rules)
    assert len(long) == 180
    assert long.endswith("…")
    assert len(summarise({"query": "x" * 168}, rules)) == 180
    assert not summarise({"query": "x" * 168}, rules).endswith("…")


def test_what_cannot_be_read_is_described_and_not_shown(rules):
    assert summarise('{"password": "hunter2"', rules) == "[not a JSON object: 22 characters]"
    assert "hunter2" not in summarise('{"password": "hunter2", "password": 1}', rules)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "token", "Email", "k"]) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5) | st.sampled_from(["my_token", "q"]), JSON, max_size=4))
@settings(max_examples=examples(100), deadline=None)
def test_no_secret_survives_at_any_depth_and_no_summary_is_too_long(rules, value):
    value = {**value, "deep": {"list": [{"my secret": "hunter2"}]}}
    summary = summarise(value, rules)
    assert len(summary) <= 180
    summary.encode()
    assert "hunter2" not in json.dumps(redact(value, rules))


def test_a_hostile_string_takes_no_time_to_speak_of(rules):
    redact({"a": "key" * 100_000, "b": "?key" * 50_000}, rules)
