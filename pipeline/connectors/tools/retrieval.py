"""Retrieval: full-text search in a folder of text and Markdown, with SQLite's FTS5, ranked by bm25.

The folder is only read. Links, symbolic ones, are not followed, neither of folders nor of files; what is no regular
file, is too large or has another ending is passed over. The index lives in memory and follows the folder: a file whose
size or time changed is read again at the next search.
"""

import asyncio
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from endocrine.pipeline.connectors.tools.handler import Answer, Call, ToolError

ENDINGS = (".txt", ".md")
MAX_FILE_BYTES = 1 << 20
MAX_FILES = 20_000
MAX_K = 20
DEFAULT_K = 5
PASSAGE_CHARS = 1200
"""Characters of a passage, about; paragraphs are kept whole where they fit."""
MAX_WORDS = 32
MAX_WORD_CHARS = 64
REFRESH_S = 2.0
"""Seconds for which the folder is not looked at again."""
_WORD = re.compile(r"\w+")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*\S)")


class Hit(NamedTuple):
    """A passage found."""

    source: str
    """Path of its file within the folder, `/` between parts."""
    text: str
    score: float
    """Higher is better; comparable within one search only."""
    heading_path: str = ""
    """Markdown headings above it, joined with ` > `; its own, where it begins with one, is the last."""


class Corpus:
    """A folder and its index. `search` may be called from several threads."""

    def __init__(
        self, folder: Path, *, refresh_s: float = REFRESH_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._refresh_s = refresh_s
        self._clock = clock
        self._looked: float | None = None
        self._files: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passages"
            " USING fts5(source UNINDEXED, text, heading_path UNINDEXED, tokenize='porter unicode61')"
        )

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most k passages (and at most 20), best first; ties by source and place. Raises ToolError."""
        with self._lock:
            self._follow()
            words = [word[:MAX_WORD_CHARS] for word in _WORD.findall(query)[:MAX_WORDS]]
            if not words:
                return []
            # Terms alone, each a quoted string: nothing in a query is an operator of the search language.
            asked = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
            found = self._db.execute(
                "SELECT source, text, -bm25(passages) AS score, heading_path FROM passages WHERE passages MATCH ?"
                " ORDER BY score DESC, source, rowid LIMIT ?",
                (asked, max(1, min(int(k), MAX_K))),  # a JSON integer may be written 3.0
            )
            return [Hit(source, text, round(score, 6), headings) for source, text, score, headings in found]

    def close(self) -> None:
        """Drop the index."""
        self._db.close()

    def _follow(self) -> None:
        now = self._clock()
        if self._looked is not None and now - self._looked < self._refresh_s:
            return
        if not self._folder.is_dir():
            raise ToolError("the knowledge base is not there")
        seen: dict[str, tuple[int, int]] = {}
        for name, mark, read in _walk(self._folder):
            seen[name] = mark
            if self._files.get(name) != mark:
                text = read()
                self._db.execute("DELETE FROM passages WHERE source = ?", (name,))
                self._db.executemany(
                    "INSERT INTO passages VALUES (?, ?, ?)",
                    [(name, part, headings) for headings, part in headed_passages(text)],
                )
            if len(seen) >= MAX_FILES:
                break
        for gone in self._files.keys() - seen.keys():
            self._db.execute("DELETE FROM passages WHERE source = ?", (gone,))
        self._files = seen
        self._looked = now


class Retrieval:
    """The handler over a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    async def run(self, call: Call) -> Answer:
        """Return `{snippets: [{source, text, score, heading_path}]}`; no empty heading path. Raises ToolError."""
        query, k = call.arguments["query"], call.arguments.get("k", DEFAULT_K)
        try:
            hits = await asyncio.to_thread(self._corpus.search, query, k)
        except (OSError, sqlite3.Error) as error:
            raise ToolError(f"the knowledge base cannot be searched ({type(error).__name__})") from None
        snippets = [
            {name: value for name, value in hit._asdict().items() if value or name != "heading_path"} for hit in hits
        ]
        return Answer({"snippets": snippets})

    async def close(self) -> None:
        """Drop the index."""
        self._corpus.close()


def passages(text: str) -> Iterator[str]:
    """Yield a text in passages of about PASSAGE_CHARS, at blank lines where there are any.

    >>> list(passages("a\\n\\nb"))
    ['a\\n\\nb']
    """
    held = ""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        paragraph = paragraph.strip()
        if held and len(held) + len(paragraph) > PASSAGE_CHARS:
            yield held
            held = ""
        held = f"{held}\n\n{paragraph}" if held else paragraph
        while len(held) > PASSAGE_CHARS:
            cut = held.rfind(" ", PASSAGE_CHARS // 2, PASSAGE_CHARS)
            cut = cut if cut > 0 else PASSAGE_CHARS
            yield held[:cut]
            held = held[cut:].lstrip()
    if held:
        yield held


def headed_passages(text: str) -> Iterator[tuple[str, str]]:
    """Yield the passages of a text, each with the Markdown headings above it. What is in a fence is no heading.

    >>> list(headed_passages("# A\\n\\n## B\\n\\nb"))
    [('A', '# A\\n\\n## B\\n\\nb')]
    """
    above: list[tuple[int, str]] = []
    fenced = False
    for passage in passages(text):
        lines = passage.splitlines()
        path = above
        for number, line in enumerate(lines):
            fenced ^= line.lstrip().startswith(("```", "~~~"))
            found = None if fenced else _HEADING.match(line)
            if found is not None:
                level = len(found[1])
                above = [*(one for one in above if one[0] < level), (level, found[2])]
                path = above if number == 0 else path
        yield " > ".join(title for _, title in path), passage


def _walk(folder: Path) -> Iterator[tuple[str, tuple[int, int], Callable[[], str]]]:
    """(name, mark, read) of each file, by name. Opened relative to the folder walked: a link put in its way meanwhile
    leads nowhere."""
    for path, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        folders.sort()
        for name in sorted(files):
            if not name.lower().endswith(ENDINGS):
                continue
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
            except OSError:
                continue  # a link, or not ours to read
            try:
                found = os.fstat(file)
                if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_FILE_BYTES:
                    source = os.path.relpath(os.path.join(path, name), folder).replace(os.sep, "/")
                    source = source.encode("utf-8", "replace").decode()  # a name that is no UTF-8
                    yield source, (found.st_mtime_ns, found.st_size), _reader(file)
            finally:
                os.close(file)


def _reader(file: int) -> Callable[[], str]:
    def read() -> str:
        with os.fdopen(os.dup(file), "rb") as content:
            return content.read(MAX_FILE_BYTES).decode("utf-8-sig", "replace")

    return read
