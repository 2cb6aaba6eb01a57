"""Secrets whose name stands beside them in another form than `name: value`; and texts that only look so."""

import pytest

from endocrine.agents._shared.redaction import redact, redact_names, redact_text
from endocrine.pipeline.process.policy_files import shipped_policy

RULES = shipped_policy().document.gating


@pytest.mark.parametrize(
    "value",
    [
        {"headers": [{"name": "Authorization", "value": "hunter2"}]},
        {"headers": [{"key": "X-Api-Key", "value": "hunter2", "enabled": True}]},
        {"headers": [["X-Api-Key", "hunter2"], ["Accept", "*/*"]]},
        {"env": [{"Name": "DB_PASSWORD", "Value": "hunter2"}]},
        {"login": {"user": "ann", "pass": "hunter2"}},
        {"db": {"user": "ann", "pwd": "hunter2"}},
        {"cmd": ["mysql", "-u", "ann", "-phunter2"]},
        {"cmd": ["docker", "login", "-u", "ann", "-p", "hunter2"]},
    ],
)
def test_a_value_is_hidden_by_a_name_beside_it(value):
    assert "hunter2" not in str(redact(value, RULES))


@pytest.mark.parametrize(
    "text",
    [
        "docker login -u ann -p hunter2",
        "sshpass -p hunter2 ssh ann@example.org",
        "machine example.org login ann password hunter2",
        "user ann pass hunter2",
        "https://s3.example/x?X-Amz-Date=20250101&X-Amz-Signature=hunter2hunter2",
        "https://x.blob.example/y?sv=2020&sig=hunter2%3D",
    ],
)
def test_a_secret_in_a_text_is_hidden_by_the_word_before_it(text):
    assert "hunter2" not in redact_text(text)


@pytest.mark.parametrize("secret", ["AKIAIOSFODNN7ABCDEFG", "4111.1111.1111.1111", "4111  1111  1111  1111"])
def test_numbers_of_keys_and_cards_are_hidden(secret):
    assert secret not in redact_text(f"use {secret} please")


@pytest.mark.parametrize(
    "text",
    [
        "the tests pass on 3.11 and fail on 3.12",
        "mkdir -p build",
        "docker run -p 8080:80 nginx",
        "password strength matters",
        "versions 4.1.1.1 to 4.1.1.2",
        "https://example.org/?page=2&signal=strong",
    ],
)
def test_what_only_looks_so_stays(text):
    assert redact_text(text) == text


def test_a_page_that_a_model_asked_for_keeps_its_content():
    page = {"name": "keyboards.md", "value": "How keys are made", "pair": ["key", "ring"]}
    assert redact_names(page, RULES) == page


@pytest.mark.parametrize(
    "name",
    [
        *("Passwort", "Kennwort", "mot_de_passe", "contraseña", "senha_do_banco", "wachtwoord", "lösenord", "salasana"),
        *("hasło", "heslo", "jelszó", "Пароль", "密码", "密碼", "パスワード", "비밀번호"),
        *("creds", "basic_auth", "connectionString", "DATABASE_URL", "mnemonic", "seed phrase", "recovery-code"),
        *("webhookUrl", "kubeconfig", "IBAN", "cvv", "credit_card", "cardNumber", "social_security_number"),
        *("passport_number", "passportNo"),
    ],
)
def test_names_of_secrets_in_other_languages_and_of_other_things_that_open_doors_are_hidden(name):
    shown = redact({"city": "Bonn", name: "s3cr3tv4lue99", "deep": [{name: ["s3cr3tv4lue99"]}]}, RULES)
    assert "s3cr3tv4lue99" not in str(shown)
    assert shown["city"] == "Bonn"


@pytest.mark.parametrize(
    "name",
    ["compass", "opinion", "author", "passenger", "signature", "class_name", "records_number", "footprint", "result"],
)
def test_names_that_only_look_like_those_are_shown(name):
    assert redact({name: "a word"}, RULES) == {name: "a word"}
