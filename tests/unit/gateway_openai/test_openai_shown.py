"""The table of what clients show: openai-python shows what it says, and no case and no client is left out."""

import openai
import pytest

from openai_shown import CASES, CLIENTS, load, modes_of_openai, table, text_shown

MODES = {f"{api} {mode}" for api in ("chat", "responses") for mode in ("whole", "stream")}


@pytest.mark.parametrize("prompt", CASES)
def test_openai_python_shows_what_the_table_says(base_url, prompt):
    client = openai.OpenAI(base_url=base_url, api_key="good", max_retries=0)
    assert modes_of_openai(client, prompt) == load()["openai-python"][prompt]


def test_every_client_was_tried_on_every_case_in_every_mode():
    shown = load()
    assert set(shown) == set(CLIENTS)
    for client in CLIENTS:
        wanted = MODES | {"chat helper"} if client == "openai-python" else MODES
        assert {prompt: set(modes) for prompt, modes in shown[client].items()} == dict.fromkeys(CASES, wanted), client


def test_no_client_takes_a_failure_for_an_answer():
    for client, cases in load().items():
        for prompt in ("blocked prompt", "budget", "rate", "no decision", "model error", "late failure"):
            assert not [one for one in cases[prompt].values() if one.startswith('"')], (client, prompt)


def test_modes_that_differ_are_told_apart_in_the_table():
    shown = {"openai-python": {"late failure": {"chat whole": "A a", "chat stream": "B b", "responses whole": "A a"}}}
    (line,) = [one for one in table(shown) if one.startswith("| failure after headers")]
    assert "chat whole, responses whole: `A` `a`; chat stream: `B` `b`" in line


def test_a_long_text_is_cut():
    assert text_shown("x" * 40) == f'"{"x" * 40}"'
    assert text_shown("x" * 41) == f'"{"x" * 39}…"'
