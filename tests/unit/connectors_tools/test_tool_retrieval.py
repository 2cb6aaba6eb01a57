"""Full-text search in a folder."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.tools.handler import ToolError
from endocrine.pipeline.connectors.tools.retrieval import MAX_FILE_BYTES, Corpus, Retrieval, passages
from properties import examples


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "corpus"
    (inside / "notes").mkdir(parents=True)
    (inside / "a.md").write_text("# Tides\n\nThe moon causes tides.")
    (inside / "notes" / "b.txt").write_text("Tides, tides, tides: spring tides and neap tides.")
    (inside / "c.html").write_text("tides")
    (tmp_path / "secret.txt").write_text("tides: the secret outside")
    return inside


@pytest.fixture
def corpus(folder):
    one = Corpus(folder, refresh_s=0)
    yield one
    one.close()


def test_passages_come_ranked_with_their_sources(corpus):
    hits = corpus.search("tides", 5)
    assert [hit.source for hit in hits] == ["notes/b.txt", "a.md"]
    assert hits[0].score >= hits[1].score > 0
    assert [hit.source for hit in corpus.search("moons", 5)] == ["a.md"]
    assert len(corpus.search("tides", 1)) == 1


def test_a_file_that_changes_appears_or_goes_is_noticed(corpus, folder):
    assert corpus.search("gravity", 5) == []
    (folder / "a.md").write_text("Gravity.")
    assert {hit.source for hit in corpus.search("gravity tides", 5)} == {"a.md", "notes/b.txt"}
    assert [hit.source for hit in corpus.search("moon", 5)] == []
    (folder / "notes" / "b.txt").unlink()
    (folder / "d.TXT").write_text("tides again")
    assert [hit.source for hit in corpus.search("tides", 5)] == ["d.TXT"]


def test_links_out_of_the_folder_are_not_followed(corpus, folder):
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    (folder / "etc.txt").symlink_to("/etc/passwd")
    (folder / "self.txt").symlink_to(folder / "a.md")
    assert [hit.source for hit in corpus.search("secret tides root", 20)] == ["notes/b.txt", "a.md"]


def test_what_is_no_regular_file_or_too_large_is_passed_over(corpus, folder):
    os.mkfifo(folder / "pipe.txt")
    (folder / "large.txt").write_text("tides " * (MAX_FILE_BYTES // 6 + 1))
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00zebra\x00")
    assert {hit.source for hit in corpus.search("tides", 20)} == {"a.md", "notes/b.txt"}
    assert [hit.source for hit in corpus.search("zebra", 20)] == ["binary.txt"]


@pytest.mark.parametrize(
    "query",
    ['"', "tides OR", "tides NOT moon", "NEAR(tides moon)", "source:notes", "tides*", '"tides" AND -moon', "{a b}: c",
     "'; DROP TABLE passages; --", "^tides", "a" * 100_000, "tides " * 10_000, "\x00", "\ud800", "", "*"],
)  # fmt: skip
def test_a_query_is_data(corpus, query):
    before = corpus.search("tides", 20)
    corpus.search(query, 20)
    assert corpus.search("tides", 20) == before


@settings(max_examples=examples(100), deadline=None)
@given(query=st.text(max_size=80), k=st.integers(-5, 50))
def test_no_query_fails_and_none_gives_more_than_was_asked(tmp_path_factory, query, k):
    folder = tmp_path_factory.getbasetemp() / "many"
    if not folder.exists():
        folder.mkdir()
        for n in range(30):
            (folder / f"{n}.txt").write_text(f"a b c d e not or and near {n}")
    corpus = Corpus(folder)
    assert len(corpus.search(query + " a", k)) <= max(1, min(k, 20))
    corpus.close()


@settings(max_examples=examples(100))
@given(st.text(alphabet="ab \n", max_size=6000))
def test_passages_lose_no_word(text):
    assert "".join("".join(passages(text)).split()) == "".join(text.split())
    assert all(len(part) <= 1202 for part in passages(text))


async def test_the_handler_answers_snippets_and_says_when_the_folder_is_gone(folder, tmp_path, make_call):
    retrieval = Retrieval(Corpus(folder))
    answer = await retrieval.run(make_call("retrieval", {"query": "moon"}))
    assert [(hit["source"], hit["text"]) for hit in answer.output["snippets"]] == [
        ("a.md", "# Tides\n\nThe moon causes tides.")
    ]
    await retrieval.close()
    with pytest.raises(ToolError, match="not there"):
        await Retrieval(Corpus(tmp_path / "none")).run(make_call("retrieval", {"query": "moon"}))
