"""What runs, by lock files and installed metadata: Python packages, jars, npm packages, files copied into the tree."""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from endocrine.pipeline.local.jars import locked
from licences.allowed import JARS, STATED, known

EXTRAS = ("export", "mcp", "otel")
"""Extras that a person may install to run something; the others are for tests and measurements."""
VENDORED: dict[str, tuple[str, str]] = {
    "console/static/vendor/htmx.min.js": ("htmx 2.0.11", "0BSD"),
    "console/static/vendor/uPlot.iife.min.js": ("uPlot 1.6.32", "MIT"),
    "console/static/vendor/uPlot.min.css": ("uPlot 1.6.32", "MIT"),
    "console/static/vendor/LICENSE.htmx": ("text of the licence of htmx", "0BSD"),
    "console/static/vendor/LICENSE.uPlot": ("text of the licence of uPlot", "MIT"),
    "console/static/vendor/README.md": ("our list of these files", "Apache-2.0"),
}
"""File that was copied into the package, below pipeline/, to (name, licence)."""
UNCLEAR = "unclear"


class Found(NamedTuple):
    """Something that runs."""

    name: str
    licence: str
    """SPDX expression, or `unclear`."""
    source: str
    """Where the licence is from."""


def python_packages(root: Path) -> list[Found]:
    """Return the packages of requirements.lock, and what the extras and the Python client bring, by name."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    names = {normal(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)==", text, re.MULTILINE)}
    needed = [Requirement(line) for line in metadata.requires("endocrine") or []]
    for extra in EXTRAS:
        for one in needed:
            if one.marker is not None and one.marker.evaluate({"extra": extra}):
                _closure(one, names)
    _closure(Requirement("httpx"), names)  # what clients/python asks for
    return [_package(name) for name in sorted(names)]


def normal(name: str) -> str:
    """Return the name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure(wanted: Requirement, names: set[str]) -> None:
    name = normal(wanted.name)
    pending = [(name, extra) for extra in ("", *wanted.extras)]
    seen = set()
    while pending:
        name, extra = pending.pop()
        names.add(name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for one in map(Requirement, lines):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                pending += [(normal(one.name), further) for further in ("", *one.extras)]


def _package(name: str) -> Found:
    if name in STATED:
        return Found(name, STATED[name], "read")
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Found(name, UNCLEAR, "not installed")
    if expression := known(about.get("License-Expression") or ""):
        return Found(name, expression, "metadata")
    if expression := known(about.get("License") or ""):
        return Found(name, expression, "metadata")
    classes = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if line.startswith("License")]
    means = {known(text) for text in classes}
    if means and None not in means:
        return Found(name, " OR ".join(sorted(str(one) for one in means)), "metadata")
    return Found(name, UNCLEAR, "metadata")


def jars() -> list[Found]:
    """Return the jars of Apache Kafka that the local stack runs on."""
    return [
        Found(
            f"{jar.group}:{jar.artifact}",
            next((licence for begin, licence in JARS.items() if jar.group.startswith(begin)), UNCLEAR),
            "read",
        )
        for jar in locked()
    ]


def npm_packages(root: Path) -> list[Found]:
    """Return what the TypeScript client brings into an application."""
    lock = json.loads((root / "clients/typescript/package-lock.json").read_text(encoding="utf-8"))
    runtime = {path: one for path, one in lock["packages"].items() if path and not one.get("dev")}
    return [
        Found(path.rpartition("node_modules/")[2], known(one.get("license", "")) or UNCLEAR, "lock file")
        for path, one in sorted(runtime.items())
    ]


def vendored() -> list[Found]:
    """Return the files of others in the package."""
    return [Found(f"{name} ({path})", licence, "read") for path, (name, licence) in sorted(VENDORED.items())]


def unlisted(root: Path) -> list[str]:
    """Return files below pipeline/ that look copied from elsewhere, and are not in VENDORED."""
    below = root / "pipeline"
    looks = [path for path in below.rglob("*") if path.is_file() and (".min." in path.name or "vendor" in path.parts)]
    return sorted(name for path in looks if (name := str(path.relative_to(below))) not in VENDORED)
