"""The corpora, and the tables in docs that say what is found in them."""

import json
from collections import Counter

import pytest

import measure
from endocrine.agents.moderation.local import judge
from endocrine.pipeline.process.policy_files import shipped_policy

RULES = shipped_policy().document.moderation
HARMLESS = measure.corpus("moderation/harmless.jsonl")
HARMFUL = measure.corpus("moderation/harmful.jsonl")


def test_no_harmless_text_is_withheld():
    withheld = [e["text"] for e in HARMLESS if judge(e["text"], e["place"], "standard", RULES).blocked]
    assert withheld == []


def test_the_corpus_is_large_half_harmless_and_without_copies():
    texts = [entry["text"] for entry in (*HARMLESS, *HARMFUL)]
    assert len(texts) >= 400
    assert len(HARMLESS) >= len(texts) / 2
    assert len({(e["text"], e["place"]) for e in (*HARMLESS, *HARMFUL)}) == len(texts)
    assert set(Counter(entry["rule"] for entry in HARMFUL)) == set(RULES.rules)


@pytest.mark.parametrize("page", measure.PAGES)
def test_the_table_on_the_page_is_what_the_corpus_gives(page):
    text = (measure.ROOT / page).read_text()
    assert measure.written(text, measure.PAGES[page]()) == text, "run `make measure`"


def test_every_text_of_the_corpus_is_one_line_of_json_with_the_fields_that_are_read():
    for name in ("moderation/harmful.jsonl", "moderation/harmless.jsonl"):
        for line in (measure.DATA / name).read_text().splitlines():
            assert set(json.loads(line)) == {"rule", "place", "text"}
