"""Pages as a reader has them: links lead somewhere, the index names every page, records in examples are records."""

import ast
import re
import sys
from pathlib import Path

import orjson
import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from reference.markdown import anchor

ROOT = Path(__file__).parents[3]
PAGES = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("bench/*.md")
]  # fmt: skip
EXAMPLES = sorted(ROOT.glob("examples/**/*.py"))


def name(path):
    return str(path.relative_to(ROOT))


def links(page):
    """Targets of links and pictures of a page, outside of code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith(("http", "mailto:"))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in links(page):
        file, _, part = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if part and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {anchor(heading) for heading in headings}, target


def test_every_page_is_named_by_the_index():
    index = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in links(ROOT / "docs" / "index.md")}
    assert [
        name(page) for page in ROOT.glob("docs/**/*.md") if page not in index and "decisions" not in page.parts
    ] == ["docs/index.md"]


def test_the_records_that_the_page_of_applications_shows_are_taken():
    page = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
    shown = re.findall(r"^    ([a-z-]+)\s+(\{.*?\})\n(?=    [a-z]|\n)", page, re.MULTILINE | re.DOTALL)
    assert [topic for topic, _ in shown] == ["interactions", "tool-calls", "tool-results", "interactions", "feedback"]
    for topic, text in shown:
        CATALOGUE[topic].validate(orjson.loads(text))


@pytest.mark.parametrize("program", EXAMPLES, ids=name)
def test_an_example_imports_the_client_that_it_shows_and_nothing_else(program):
    tree = ast.parse(program.read_text(encoding="utf-8"))
    found = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    found |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    shown = {
        "kafka-python": {"aiokafka"},
        "python-client": {"endocrine_client"},
        "openai-base-url": {"openai"},
        "langchain": {"langchain_core", "langchain_openai"},
    }
    assert found - sys.stdlib_module_names == shown[program.parent.name]
