"""How far a verification came, in a file, so that it can go on after it was stopped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

FORM = 3
EVERY = 200
"""Batches of a unit between two notes."""


class ResumeError(Exception):
    """The file belongs to no verification, or to another one. The message names what to do."""


class Resume:
    """The file. asked: what was asked for; a file that notes something else is refused.

    every: batches between two notes inside a unit. `kept` is stored beside (where the logs ended at the first start).
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], *, every: int = EVERY) -> None:
        self.path, self.every = path, every
        self.kept: Any = None
        self._asked = dict(asked)
        self._loaded: dict[str, Any] | None = None
        if path.exists():
            self._loaded = self._read()
            self.kept = self._loaded["kept"]

    def _read(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = msgpack.unpackb(self.path.read_bytes(), strict_map_key=False)
            form, asked = data["form"], data["asked"]
        except Exception as error:
            raise ResumeError(f"{self.path}: cannot be read ({error}); expected a file made by --resume") from None
        if form != FORM or asked != self._asked:
            other = [name for name in {*asked, *self._asked} if asked.get(name) != self._asked.get(name)]
            detail = ", ".join(f"{name} {asked.get(name)!r}" for name in sorted(other)) or f"form {form}"
            raise ResumeError(f"{self.path} is of another verification ({detail}): give another file, or remove it")
        return data

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last, or None."""
        return None if self._loaded is None else self._loaded["saved"]

    def save(self, saved: Mapping[str, Any]) -> None:
        """Note this, all or nothing."""
        packed = msgpack.packb({"form": FORM, "asked": self._asked, "kept": self.kept, "saved": saved})
        run_concurrently = self.path.with_name(self.path.name + ".new")
        with run_concurrently.open("wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        run_concurrently.replace(self.path)
