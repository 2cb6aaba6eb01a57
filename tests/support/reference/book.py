"""Hooks of `make book` (mkdocs.yml): the order of pages, and links that lead out of docs/. Imports nothing of ours.

The navigation is docs/index.md, which names every page (a test), so that a page is put in its place once. A few pages
beside docs/ become pages of the book; what else a link leads to is named, and is no link there.
"""

import importlib
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
BESIDE = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "bench/README.md": "project/bench.md",
    "clients/python/README.md": "project/client-python.md",
    "clients/typescript/README.md": "project/client-typescript.md",
}
"""Pages beside docs/, and where the book has them."""
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def navigation(index: str) -> list[dict[str, list[str]]]:
    """The sections of an index and the pages that each names, every page where it is named first."""
    sections: list[dict[str, list[str]]] = []
    seen: set[str] = set()
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        pages: list[str] = []
        for _, _, target in _LINK.findall(text):
            page = in_book((DOCS / target.partition("#")[0]).resolve())
            if page is not None and page not in seen and page.endswith(".md"):
                seen.add(page)
                pages.append(page)
        if pages:
            sections.append({title.strip(): pages})
    return sections


def in_book(path: Path) -> str | None:
    """Where the book has a file of the checkout; None where it has not."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix() if path.is_file() else None
    return BESIDE.get(path.relative_to(ROOT).as_posix()) if path.is_relative_to(ROOT) else None


def with_links(text: str, source: Path, page: str) -> str:
    """A page's text with links as the book needs them. source: its file; page: where the book has it."""

    def replaced(found: re.Match[str]) -> str:
        mark, shown, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        file, hash_, part = target.partition("#")
        place = in_book((source.parent / file).resolve())
        if place is None:
            return shown
        return f"{mark}[{shown}]({os.path.relpath(place, os.path.dirname(page) or '.')}{hash_}{part})"

    # A label may be code; what is written in a fence is not a link.
    return "".join(
        piece if piece.startswith("```") else _LINK.sub(replaced, piece)
        for piece in re.split(r"(```.*?```)", text, flags=re.DOTALL)
    )


def on_config(config: Any) -> Any:
    """Set the navigation."""
    named = navigation((DOCS / "index.md").read_text(encoding="utf-8"))
    seen = {page for section in named for pages in section.values() for page in pages}
    clients = [page for page in BESIDE.values() if page not in seen]
    config["nav"] = ["index.md", *named, decisions(), {"Beside the docs": clients}]
    return config


def decisions() -> dict[str, list[str]]:
    """The section of decision records."""
    found = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("decisions/[0-9]*.md"))
    return {"Decisions": found}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages beside docs/."""
    file = importlib.import_module("mkdocs.structure.files").File
    for name, page in BESIDE.items():
        text = with_links((ROOT / name).read_text(encoding="utf-8"), ROOT / name, page)
        files.append(file.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Give a page's links the form that the book needs."""
    uri = page.file.src_uri
    return markdown if uri in BESIDE.values() else with_links(markdown, DOCS / uri, uri)
