"""The audit of lock files, on an index that answers as it is made to."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from lock_audit.__main__ import main
from lock_audit.index import Index
from lock_audit.locks import LockError, lock_files, read

ROOT = Path(__file__).parents[3]
GOOD, OTHER = "a" * 64, "b" * 64


class Served:
    """A session of an index with one package, one release of it."""

    def __init__(self, *, yanked=False, sha256=GOOD, known=None, missing=False):
        self.yanked, self.sha256, self.known, self.missing = yanked, sha256, known, missing

    def get(self, url, **_):
        if url == "https://index.test/simple/some-thing/":
            file = {"filename": "some_thing-1.0-py3-none-any.whl", "hashes": {"sha256": self.sha256}}
            files = [] if self.missing else [file | {"yanked": self.yanked}]
            return SimpleNamespace(status_code=200, raise_for_status=lambda: None, json=lambda: {"files": files})
        assert url == "https://index.test/pypi/some-thing/1.0/json"
        if self.known is None:
            return SimpleNamespace(status_code=404)
        return SimpleNamespace(status_code=200, json=lambda: {"vulnerabilities": self.known})


def audit(tmp_path, served, text=f"Some_Thing==1.0 \\\n    --hash=sha256:{GOOD}\n    # via nothing\n", **options):
    lock = tmp_path / "requirements.lock"
    lock.write_text(text)
    return main([lock], Index("https://index.test/simple/", served), **options)


def test_a_release_with_nothing_against_it_passes(tmp_path, capsys):
    assert audit(tmp_path, Served(known=[])) == 0
    assert "NOT looked at" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("served", "line"),
    [
        (Served(known=[], yanked="broken wheel"), "was yanked: broken wheel"),
        (Served(known=[], yanked=True), "was yanked: no reason given"),
        (Served(known=[], sha256=OTHER), "is locked with 1 hashes that the index does not have"),
        (Served(known=[], missing=True), "is not in the index any more"),
        (Served(known=[{"id": "PYSEC-1", "withdrawn": None}]), "has the known vulnerability PYSEC-1"),
    ],
)
def test_what_is_against_a_release_is_a_line_and_an_exit_code(tmp_path, capsys, served, line):
    assert audit(tmp_path, served) == 1
    assert capsys.readouterr().out == f"some-thing 1.0 {line} (requirements.lock)\n"


def test_a_withdrawn_advisory_does_not_count(tmp_path):
    assert audit(tmp_path, Served(known=[{"id": "PYSEC-1", "withdrawn": "2026-01-01T00:00:00Z"}])) == 0


def test_a_release_without_a_hash_is_a_finding(tmp_path, capsys):
    assert audit(tmp_path, Served(known=[]), "some-thing==1.0\n") == 1
    assert "is locked without a hash" in capsys.readouterr().out


def test_an_index_without_advisories_is_not_taken_for_one_that_knows_of_none(tmp_path, capsys):
    assert audit(tmp_path, Served()) == 3
    assert "vulnerabilities were NOT looked at" in capsys.readouterr().err
    assert audit(tmp_path, Served(), without_advisories=True) == 0


def test_an_index_that_does_not_answer_is_an_error_that_does_not_name_its_address(tmp_path, capsys):
    def refuse(url, **_):
        raise requests.ConnectionError(url)

    assert audit(tmp_path, SimpleNamespace(get=refuse)) == 2
    assert "index.test" not in capsys.readouterr().err


def test_every_lock_file_of_the_checkout_has_exact_releases_with_hashes():
    files = lock_files(ROOT)
    assert {"requirements.lock", "requirements-dev.lock", "requirements-image.lock"} <= {file.name for file in files}
    for file in files:
        assert [release for release, hashes in read(file).items() if not hashes] == [], file


def test_a_requirement_that_leaves_a_choice_is_refused(tmp_path):
    lock = tmp_path / "x.lock"
    lock.write_text("some-thing>=1.0\n")
    with pytest.raises(LockError, match=r"x\.lock: requirement 1: not an exact release"):
        read(lock)
