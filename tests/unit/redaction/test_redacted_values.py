"""What the one redactor hides, whatever stands around it; and what it leaves alone."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import measure
from endocrine.agents._shared.redaction import REDACTED, hides, redact, redact_names, redact_text, summarise
from endocrine.agents._shared.shapes import SHAPES, Finder, finder
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

RULES = shipped_policy().document.gating
SECRETS = measure.corpus("redaction/secrets.jsonl")
HARMLESS = measure.corpus("redaction/harmless.jsonl")
MISSED = {"415 555 0132"}
"""Known to be shown: docs/redaction.md."""
FOUND = [entry for entry in SECRETS if entry["text"] not in MISSED]


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: entry["shape"])
def test_a_secret_is_hidden_and_hiding_it_twice_changes_nothing(entry):
    shown = redact_text(entry["text"])
    assert not [secret for secret in entry["hide"] if secret in shown]
    assert REDACTED in shown
    assert redact_text(shown) == shown


def test_harmless_texts_stay_as_they_are():
    assert [entry["text"] for entry in HARMLESS if redact_text(entry["text"]) != entry["text"]] == []


def wrapped(inner, shape):
    for layer in shape:
        if layer == "object":
            inner = {"a": inner}
        elif layer == "list":
            inner = ["x", inner]
        elif layer == "json":
            inner = json.dumps(inner)
        else:
            inner = f"see {inner}" if isinstance(inner, str) else {"b": inner}
    return inner


LAYERS = st.lists(st.sampled_from(["object", "list", "json"]), max_size=5)


@given(st.sampled_from(FOUND), LAYERS)
@settings(max_examples=examples(100), deadline=None)
def test_a_secret_is_hidden_at_any_depth_and_in_json_in_strings(entry, layers):
    value = {"o": wrapped(entry["text"], layers)}
    shown = json.dumps(redact(value, RULES), ensure_ascii=False)
    for secret in entry["hide"]:
        assert secret not in shown
        assert json.dumps(secret, ensure_ascii=False)[1:-1] not in shown
    assert len(summarise(value, RULES)) <= RULES.summary_chars


NAMES = ["e-mail", "Pass\u00adword", "api_key", "apiKey", "X-Api-Key", "ｐａｓｓｗｏｒｄ", "p.a.s.s.word"]
NAMES += [
    "P\u0430ssword",
    "access\u200btoken",
    "Phone Number",
    "client-secret",
    "PII",
    "AUTHORIZATION",
    "tökén",
    "Set-Cookie",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_says_secret_is_known_however_it_is_written(name):
    assert hides(name, RULES.redacted_keys)
    value = json.dumps({"list": [json.dumps({name: "s3cr3tv4lue99"})]})
    assert "s3cr3t" not in str(redact({"body": value}, RULES))


def test_names_that_hold_secrets_are_hidden_and_none_of_two_is_lost():
    shown = redact({"ann@example.org": 1, "ben@example.org": 2, "tea": 3}, RULES)
    assert shown == {REDACTED: 1, f"{REDACTED} 2": 2, "tea": 3}


def test_an_option_and_its_value_may_be_two_members_of_a_list():
    assert redact(["curl", "-u", "ann:hunter2", "https://x.example"], RULES)[2] == REDACTED


def test_a_card_may_be_a_number():
    assert redact({"n": 4111111111111111, "t": 1730802600123, "k": 5}, RULES) == {
        "n": REDACTED, "t": 1730802600123, "k": 5,
    }  # fmt: skip


def test_a_tools_output_is_redacted_by_names_alone():
    assert redact_names({"text": "ann@example.org", "password": "x"}, RULES) == {
        "text": "ann@example.org", "password": REDACTED,
    }  # fmt: skip


PIECES = st.sampled_from(["@", "a@b.", "://", "x:", "sk-", "eyJ", ".eyJ", "-----BEGIN ", "PRIVATE KEY-----", "0171 ",
                          "+49", "4111 ", "key=", "password: ", "\"", "'", "\\", "-u ", "Bearer ", "ü", "\ud800", "\n",
                          "DE89", "1", " ", "<token>", "{", "[", "[redacted]", "\u200b"])  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=4), max_size=60).map("".join))
@settings(max_examples=examples(100), deadline=None)
def test_the_set_of_all_shapes_finds_what_each_finds_alone_and_nothing_raises(text):
    alone = [find for shape in SHAPES for find in Finder([shape]).finds(text)] if len(text) < 40 else None
    together = finder().finds(text)
    if alone is not None:
        assert sorted((f.start, f.end, f.shape.name) for f in alone) == sorted(
            (f.start, f.end, f.shape.name) for f in together
        )
    redact_text(text).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "piece", ["x://a:", "a@b.", "4111 ", "key=", "-----BEGIN A-----", "bearer x1 ", "+49 1 ", "eyJ"]
)
def test_the_number_of_searches_grows_with_the_length_and_not_faster(piece, monkeypatch):
    looked = 0

    class Counted:
        def __init__(self, pattern):
            self.pattern = pattern

        def search(self, data, at):
            nonlocal looked
            looked += 1
            return self.pattern.search(data, at)

    counted = Finder(SHAPES)
    counted._each = [(shape, Counted(pattern)) for shape, pattern in counted._each]
    counts = []
    for times in (20, 200):
        looked = 0
        counted.finds(piece * times)
        counts.append(looked)
    assert counts[1] <= 11 * counts[0] + len(SHAPES)
