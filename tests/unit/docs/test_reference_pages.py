"""Generated pages are what the code says now, and say something about every field and variable."""

import re
from pathlib import Path
from typing import get_args

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.asyncapi.json_schemas import json_schema
from endocrine.schemas import base
from endocrine.schemas.vocabulary import Fate, Signal
from reference.markdown import replace_part, table
from reference.pages import pages
from reference.participants import readers, writers
from reference.records import meaning
from reference.settings import GROUPS, OTHERS
from reference.shapes import shape

ROOT = Path(__file__).parents[3]
PAGES = pages(ROOT)
GENERIC = {get_args(kind)[-1].description for kind in (base.Id, base.Count, base.Share, base.Digest, base.Bag)}
"""What the shared types say, which tells nobody what a field is for."""


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name):
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name], f"{name} is not up to date: run `make docs`"


@pytest.mark.parametrize("topic", CATALOGUE.values(), ids=lambda topic: topic.name)
def test_every_field_of_a_topic_says_what_it_means(topic):
    schema = json_schema(topic, "")
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            if "const" not in field:
                assert meaning(field) not in GENERIC | {""}, f"{part.get('title')}.{name}"


@pytest.mark.parametrize("topic", CATALOGUE)
def test_every_topic_has_a_writer_and_whoever_must_be_sealed_is_ours(topic):
    assert writers(topic, AGENTS)
    if CATALOGUE[topic].owner:
        assert readers(topic, AGENTS)
    if CATALOGUE[topic].ours:
        assert "your application" not in writers(topic, AGENTS)


def test_every_variable_that_code_names_is_on_the_page_of_settings():
    page = PAGES["docs/reference/settings.md"]
    files = [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("agents/**/*.py"), *ROOT.glob("config/*.yaml")]
    named = {name for file in files for name in re.findall(r"ENDOCRINE_[A-Z][A-Z_]*[A-Z]\b", file.read_text("utf-8"))}
    assert len(named) > 10
    # `ENDOCRINE_FLAG_NAME` and the like stand for a family.
    assert {name for name in named if f"`{name}`" not in page} <= {"ENDOCRINE_FLAG_NAME", "ENDOCRINE_FLAG"}
    assert not [name for _, _, group in GROUPS for name, field in group.model_fields.items() if not field.description]
    assert len({name for name, _, _ in OTHERS}) == len(OTHERS)


def test_the_page_of_signals_names_every_signal_and_every_fate():
    page = PAGES["docs/signals.md"]
    assert set(get_args(Fate)) == set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE))
    assert all(f"| `{name}` |" in page for name in get_args(Signal))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 1}, "text, not empty"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number, above 0, at most 1"),
        ({"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, "integer, 0 or more"),
        ({"type": "array", "items": {"type": "string", "maxLength": 5}}, "list of (text, at most 5 characters)"),
        ({"type": "array", "items": {}, "minItems": 3, "maxItems": 3}, "list, 3 items"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "text of 64 hexadecimal digits"),
        ({"anyOf": [{"$ref": "#/$defs/Usage"}, {"type": "null"}]}, "[Usage](#usage) or null"),
        ({}, "any JSON value"),
    ],
)
def test_a_shape_is_said_in_words_with_its_bounds(schema, words):
    assert shape(schema) == words


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(["a"], [["x | y\nz"]])[-1] == "| x \\| y z |"


def test_a_page_without_the_part_is_named_as_such():
    with pytest.raises(ValueError, match="no part 'signals'"):
        replace_part("text", "signals", [])
