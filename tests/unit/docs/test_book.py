"""The book: its order is that of the index, and links that lead out of docs/ go where the book has the page."""

import re
from pathlib import Path

import pytest
import yaml

from endocrine.pipeline.core.catalogue import CATALOGUE
from reference.book import BESIDE, DOCS, ROOT, decisions, in_book, navigation, with_links
from reference.privacy import HOLDS


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without the objects that it makes."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
CONFIG = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_book_once_and_in_a_section():
    pages = [page for section in [*navigation(INDEX), decisions()] for found in section.values() for page in found]
    assert len(pages) == len(set(pages))
    assert {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - set(pages) == {"index.md"}


def test_the_sections_that_a_reader_looks_for_are_there():
    titles = [title for section in navigation(INDEX) for title in section]
    assert {"Tutorial", "Reference", "Concepts"} <= set(titles)
    assert sum(title.startswith("How-to") for title in titles) == 2


def test_links_lead_to_the_page_in_the_book_and_others_are_only_named():
    def of(text, name="docs/backup.md"):
        return with_links(text, ROOT / name, name.removeprefix("docs/"))

    assert of("[a](replay.md#verify)") == "[a](replay.md#verify)"
    assert of("[a](../bench/README.md)") == "[a](project/bench.md)"
    assert of("see [`config`](../config/models.yaml).") == "see `config`."
    assert of("[a](https://a.test/x.md)") == "[a](https://a.test/x.md)"
    assert of("```\n[a](../config)\n```") == "```\n[a](../config)\n```"
    assert with_links("[a](docs/run.md) ![b](docs/recording.svg)", ROOT / "README.md", "project/readme.md") == (
        "[a](../run.md) ![b](../recording.svg)"
    )


@pytest.mark.parametrize("name", BESIDE)
def test_a_page_beside_the_docs_is_there_and_has_its_place(name):
    assert (ROOT / name).is_file()
    assert in_book(ROOT / name) == BESIDE[name]


def test_the_book_asks_no_other_host_and_is_built_strictly():
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["strict"] is True
    assert set(CONFIG["validation"]["links"].values()) == {"warn"}
    assert not re.search(r"https?://", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_the_runbooks_have_the_situations_that_an_operator_looks_for():
    page = (DOCS / "runbooks.md").read_text(encoding="utf-8").lower()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    for word in ("wrong", "lag", "rebalances", "broker", "partition", "policy", "key", "erasing"):
        assert any(word in heading for heading in headings), word


def test_every_topic_has_its_line_in_the_privacy_note_and_no_other_has():
    assert set(HOLDS) == set(CATALOGUE)


def test_the_lock_of_the_book_has_hashes_and_no_address():
    lock = Path(ROOT / "requirements-docs.lock").read_text(encoding="utf-8")
    assert "mkdocs-material==" in lock
    assert "http" not in lock
    assert lock.count("==") <= lock.count("--hash=sha256:")
