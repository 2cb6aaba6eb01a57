"""Snapshots on disk: the states of every unit as of a batch, with hashes that are checked before use.

A folder with `manifest.json`, its SHA-256 in `manifest.sha256`, and per unit one file of msgpack pairs [key, state].
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import orjson

from endocrine.pipeline.core.formats import SNAPSHOT, refusal
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.replay.replayer import StartingPoint

MANIFEST, SEAL = "manifest.json", "manifest.sha256"


class SnapshotError(Exception):
    """A snapshot that cannot be used. The message names the file and what is wrong."""


class _Listed(StartingPoint):
    """A start whose states have not been read yet."""

    folder: Path
    file: Mapping[str, Any]
    restored: bool = False
    """Whether a prefix was restored to this state: nothing before it is on its topics."""


class Snapshots:
    """All snapshots in a folder: the folder itself, or the folders in it. Raises SnapshotError for one that is broken.

    expected: manifest fields that must have these values (prefix, partitions), or it is of another deployment.
    """

    def __init__(self, folder: Path | None = None, expected: Mapping[str, Any] | None = None) -> None:
        self._starts: dict[str, list[_Listed]] = {}
        self.restored_from: set[str] = set()
        """SHA-256 of the manifests of backups that a prefix was restored from: journals there begin after them."""
        if folder is None:
            return
        found = [path.parent for path in [folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))] if path.is_file()]
        if not found:
            raise SnapshotError(f"{folder}: holds no snapshot (no {MANIFEST}); make one with `endocrine snapshot`")
        for one in found:
            self._list(one, read_manifest(one), expected or {})

    def _list(self, folder: Path, manifest: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        for name, value in expected.items():
            if manifest.get(name) != value:
                detail = f"is of {name} {manifest.get(name)!r}, expected {value!r}"
                raise SnapshotError(f"{folder}: {detail}")
        restored = manifest.get("restored_from")
        if restored is not None:
            self.restored_from.add(restored)
        for processor, about in manifest["units"].items():
            listed = _Listed(
                about["batch"],
                {},
                {name: (height[0], height[1]) for name, height in about["marks"].items()},
                about["front"],
                about["journal"],
                f"the snapshot {folder.name}, batch {about['batch']}",
            )
            listed.folder, listed.file, listed.restored = folder, about, restored is not None
            self._starts.setdefault(processor, []).append(listed)

    def of(self, processor: str) -> list[_Listed]:
        """Return starts of a unit, without their states."""
        return self._starts.get(processor, [])

    @staticmethod
    def load(listed: StartingPoint) -> StartingPoint:
        """Return the start with its states, its file checked against the manifest. Raises SnapshotError."""
        if isinstance(listed, _Listed):
            listed.states = dict(read_states(listed.folder, listed.file))
        return listed

    @staticmethod
    def home(identity: str, partitions: int) -> int:
        """Return the partition on which an identity lives."""
        return partition_of(identity, partitions)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a snapshot's manifest, checked against its seal. Raises SnapshotError."""
    try:
        data, seal = (folder / MANIFEST).read_bytes(), (folder / SEAL).read_text().split()[0]
    except (OSError, IndexError) as error:
        raise SnapshotError(f"{folder}: cannot be read: {error}") from None
    if hashlib.sha256(data).hexdigest() != seal:
        raise SnapshotError(f"{folder / MANIFEST}: is not what {SEAL} says; it was changed")
    manifest: dict[str, Any] = orjson.loads(data)
    if manifest.get("form") not in SNAPSHOT.reads:
        raise SnapshotError(f"{folder / MANIFEST}: {refusal(SNAPSHOT, manifest.get('form'))}")
    return manifest


def backup_of(folder: Path) -> str:
    """Return the digest of the backup that a restore wrote this snapshot from. Raises SnapshotError."""
    found = read_manifest(folder).get("restored_from")
    if not isinstance(found, str):
        raise SnapshotError(f"{folder}: is of no restore; expected the snapshot that `endocrine backup restore` names")
    return found


def read_states(folder: Path, about: Mapping[str, Any]) -> Iterable[tuple[str, bytes]]:
    """Return keys and states of one unit's file. Raises SnapshotError when its digest is not the manifest's."""
    name = Path(about["file"]).name  # a manifest names files beside itself, nothing else
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{folder / name}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise SnapshotError(f"{folder / name}: is not what the manifest says; it was changed")
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
    unpacker.feed(data)
    return [(key, state) for key, state in unpacker]


def write_states(folder: Path, processor: str, states: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Write one unit's file; return its manifest entry."""
    name, digest, count = processor.replace("/", "-") + ".msgpack", hashlib.sha256(), 0
    with (folder / name).open("wb") as file:
        for key, state in states:
            packed = msgpack.packb((key, state))
            digest.update(packed)
            file.write(packed)
            count += 1
        _sync(file)
    return {"file": name, "sha256": digest.hexdigest(), "states": count}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest and its seal; the snapshot counts from here on."""
    data = orjson.dumps({"form": SNAPSHOT.writes, **manifest}, option=orjson.OPT_INDENT_2)
    with (folder / SEAL).open("w") as file:
        file.write(f"{hashlib.sha256(data).hexdigest()}  {MANIFEST}\n")
        _sync(file)
    with (folder / MANIFEST).open("wb") as raw:
        raw.write(data)
        _sync(raw)


def _sync(file: BinaryIO | Any) -> None:
    file.flush()
    os.fsync(file.fileno())
