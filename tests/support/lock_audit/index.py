"""The package index that pip is configured for: files of a release, and what is known against it.

Files come from the index itself (PEP 691). Vulnerabilities come from the JSON documents that the public index serves
beside it, and few mirrors do; where they are missing, the audit reports it: no release counts as free of them.
"""

import subprocess
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
from pip._internal.models.index import PyPI

from lock_audit.locks import Release

TIMEOUT_S = 30
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"


class File(NamedTuple):
    """A file of a release."""

    sha256: str
    yanked: bool
    reason: str
    """Why it was yanked, where somebody gave a reason."""


class Index:
    """An index, asked once for each package."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url, self.session = url.rstrip("/"), session
        self._advised: bool | None = None

    def files(self, release: Release) -> list[File] | None:
        """Return the files of a release; None where the index has none of that version. Raises requests' errors."""
        answer = self.session.get(f"{self.url}/{release.name}/", headers={"accept": SIMPLE_JSON}, timeout=TIMEOUT_S)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        found = [file_of(one) for one in answer.json()["files"] if version_of(one["filename"]) == release.version]
        return found or None

    def vulnerabilities(self, release: Release) -> list[str] | None:
        """Return ids of what is known against a release; None where the index does not say. Withdrawn ones are out."""
        if self._advised is False:
            return None
        parts = urlsplit(self.url)
        path = parts.path.removesuffix("/simple") + f"/pypi/{release.name}/{release.version}/json"
        answer = self.session.get(urlunsplit(parts._replace(path=path)), timeout=TIMEOUT_S)
        if answer.status_code != 200 or "vulnerabilities" not in (content := answer.json()):
            self._advised = self._advised or False
            return None
        self._advised = True
        return [one["id"] for one in content["vulnerabilities"] if not one.get("withdrawn")]


def file_of(entry: dict[str, Any]) -> File:
    """Return a file from its entry in the index."""
    yanked = entry.get("yanked", False)
    return File(entry["hashes"].get("sha256", ""), bool(yanked), yanked if isinstance(yanked, str) else "")


def version_of(filename: str) -> str | None:
    """Return the version in the name of a wheel or source archive; None where it is neither.

    >>> version_of("a_b-1.2.post1-py3-none-any.whl"), version_of("a-b-1.2.tar.gz"), version_of("a.exe")
    ('1.2.post1', '1.2', None)
    """
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None


def configured() -> Index:
    """Return the index that pip uses here: by its settings, else the public one."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    shown = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    settings: dict[str, str] = {}
    for line in shown.splitlines():  # later ones win: those of the environment are last
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    session = requests.Session()
    if "cert" in settings:
        session.verify = settings["cert"]
    return Index(settings.get("index-url", PyPI.simple_url), session)
