"""Another commit's code beside this one's: a worktree of it, mapped for Python, and what a process needs to run it.

The Makefile puts the repository, tests/support, tests/chaos and this folder on PYTHONPATH.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.against import mapped, worktree

ROOT = Path(__file__).resolve().parent.parent.parent


class Release(NamedTuple):
    """One commit's code. environment: variables that a process of it has beside its settings."""

    commit: str
    environment: Mapping[str, str]

    def topics(self) -> frozenset[str]:
        """Return the topics that it has. Raises CalledProcessError."""
        named = "from endocrine.pipeline.core.catalogue import CATALOGUE; print(*CATALOGUE)"
        ran = subprocess.run(
            [sys.executable, "-c", named], env=os.environ | self.environment, capture_output=True, text=True, check=True
        )
        return frozenset(ran.stdout.split())


def commit_of(ref: str) -> str:
    """Return the short id of a commit. Raises ValueError where git knows none."""
    found = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "--verify", "--quiet", f"{ref}^{{commit}}"],
        capture_output=True,
        text=True,
    )
    if found.returncode:
        raise ValueError(f"git knows no commit {ref!r}; expected a branch, a tag or a commit")
    return found.stdout.strip()


def this_release() -> Release:
    """The checkout as it lies there."""
    commit = commit_of("HEAD")
    return Release(commit, {"ENDOCRINE_BUILD": commit})


@contextmanager
def release(ref: str, folder: Path) -> Iterator[Release]:
    """The code of a commit, in a folder that is gone afterwards. It runs on the packages of this environment.

    Raises ValueError where git knows no such commit, or its package is not `endocrine`.
    """
    commit = commit_of(ref)
    with worktree(ref, folder) as checkout:
        mapping = mapped(checkout, folder / "mapping")
        yield Release(commit, {"ENDOCRINE_BUILD": commit, "PYTHONPATH": str(mapping)})
