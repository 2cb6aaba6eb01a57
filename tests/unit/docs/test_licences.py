"""Everything that runs has a licence that is allowed, and is in docs/licences.md."""

from importlib import metadata
from pathlib import Path

import pytest

from licences import found
from licences.allowed import JARS, REMARKS, STATED, known, refused
from licences.found import Found
from licences.page import NAME, page, sections

ROOT = Path(__file__).parents[3]
SECTIONS = sections(ROOT)
EVERYTHING = [one for rows in SECTIONS.values() for one in rows]


def test_everything_that_runs_has_a_licence_that_is_allowed():
    bad = [one for one in EVERYTHING if refused(one.licence)]
    assert bad == [], "read its licence, then tests/support/licences/allowed.py"


def test_the_page_is_what_is_locked_and_installed():
    assert (ROOT / NAME).read_text(encoding="utf-8") == page(ROOT), f"{NAME} is not up to date: run `make licences`"


def test_every_package_of_the_runtime_lock_and_of_the_extras_is_there():
    names = {one.name for one in SECTIONS["Python"]}
    assert {"aiokafka", "pydantic-core", "certifi", "pyarrow", "mcp", "httpx"} <= names
    assert not names & {"pytest", "hypothesis", "behave-shell", "ruff"}
    assert len(SECTIONS["Java, for the local stack"]) > 40
    assert {one.name for one in SECTIONS["npm, for applications in TypeScript"]} >= {"openapi-fetch"}


def test_a_file_that_looks_copied_is_listed():
    assert found.unlisted(ROOT) == [], "name it in VENDORED of tests/support/licences/found.py"


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-or-later", "AGPL-3.0-only", "MIT OR GPL-2.0-only", "LGPL-2.1-only", "BUSL-1.1", "unclear", ""]
)
def test_what_does_not_go_with_ours_is_refused(licence):
    assert refused(licence)
    assert known(licence) is None


def test_a_new_package_without_a_clear_licence_is_unclear(monkeypatch):
    about = metadata.metadata("pytest")
    del about["License-Expression"], about["License"], about["Classifier"]
    about["Classifier"] = "License :: OSI Approved :: BSD License"
    monkeypatch.setattr(found.metadata, "metadata", lambda name: about)
    assert found._package("new") == Found("new", "unclear", "metadata")


def test_nothing_is_stated_that_is_no_longer_there():
    names = {one.name for one in EVERYTHING}
    assert set(STATED) <= names
    assert {begin for begin in JARS if not any(name.startswith(begin) for name in names)} == set()
    assert {one for one in REMARKS if not any(one in row.licence for row in EVERYTHING)} == set()
