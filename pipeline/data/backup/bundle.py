"""A backup on disk: manifest with the SHA-256 of every file, states, records by topic and partition, and a verdict.

20260405T120000Z/
    manifest.json, manifest.sha256    what there is, and the manifest's own digest, which names the backup
    manifest.hmac                     by a seal key: who can write files, and has no key, cannot make a backup
    <agent>-<partition>.msgpack       states, as `endocrine snapshot` writes them: the folder is a snapshot too
    topics/<topic>-<partition>.msgpack   records [offset, append time in ms, key, value, headers]
    owed.msgpack                      outputs that were checkpointed and may not have been produced
    validation.json                   {valid, errors}: only valid backups count
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import orjson

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.data.backup.retention import time_of
from endocrine.pipeline.replay.state_files import MANIFEST, SEAL, SnapshotError, read_manifest

TOPICS, OWED, VERDICT = "topics", "owed.msgpack", "validation.json"
SIGNATURE = "manifest.hmac"
_PURPOSE = b"endocrine-backup"


class RecordFile:
    """Writes the records of one partition."""

    def __init__(self, folder: Path, topic: str, partition: int) -> None:
        self.name = f"{TOPICS}/{topic}-{partition}.msgpack"
        self.records = 0
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._file: BinaryIO = (folder / self.name).open("wb")

    def add(self, records: Iterable[Any]) -> None:
        """Append records as fetched."""
        for raw in records:
            headers = [[name, content] for name, content in raw.headers]
            packed = msgpack.packb([raw.offset, raw.timestamp, raw.key, raw.value, headers], use_bin_type=True)
            self._digest.update(packed)
            self._bytes += len(packed)
            self._file.write(packed)
            self.records += 1

    def close(self) -> dict[str, Any]:
        """Make it durable; return its manifest entry."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {
            "file": self.name,
            "sha256": self._digest.hexdigest(),
            "bytes": self._bytes,
            "records": self.records,
        }


def read_records(folder: Path, name: str, partition: int) -> Iterator[Fetched]:
    """Yield the records of one file."""
    with (folder / name).open("rb") as file:
        for offset, when, key, value, headers in msgpack.Unpacker(file, use_list=False, max_buffer_size=0):
            yield Fetched(partition, offset, when, key, value, headers)


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the manifest, which names the backup."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def sign(folder: Path, seals: KeyedSeals) -> None:
    """Write the signature of the manifest, and so of every file that it names the digest of."""
    with (folder / SIGNATURE).open("w") as file:
        file.write(seals.signature(_PURPOSE, (folder / MANIFEST).read_bytes()) + "\n")
        file.flush()
        os.fsync(file.fileno())


def unauthenticated(folder: Path, seals: KeyedSeals) -> str | None:
    """Return why the manifest is not known as one that a holder of these keys has made; None where it is."""
    try:
        signature = (folder / SIGNATURE).read_text()
        document = (folder / MANIFEST).read_bytes()
    except (OSError, ValueError):
        return "hmac_missing"
    if not seals.knows(signature.encode()):
        return f"hmac_key_unknown:{signature.partition(':')[0][:32]}"
    return None if seals.signed(_PURPOSE, document, signature) else "hmac_mismatch"


def validate(folder: Path, seals: KeyedSeals | None = None) -> dict[str, Any]:
    """Check every file against the manifest; return the verdict `{valid, errors}`. Nothing is believed before.

    seals: of the deployment, which know their own backups; without them anyone who can write files may have made it.
    """
    errors: list[str] = []
    if seals is not None and (folder / MANIFEST).is_file() and (why := unauthenticated(folder, seals)) is not None:
        return {"valid": False, "errors": [why]}
    try:
        manifest = read_manifest(folder)
        files = [*manifest["units"].values(), *manifest["topics"].values(), manifest["owed"]]
        listed = [(str(one["file"]), str(one["sha256"])) for one in files]
    except SnapshotError:
        missing = not (folder / MANIFEST).is_file() or not (folder / SEAL).is_file()
        return {"valid": False, "errors": ["manifest_missing" if missing else "bundle_hash"]}
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError):
        return {"valid": False, "errors": ["manifest_unreadable"]}
    if manifest.get("created_at", folder.name) != folder.name:
        errors.append(f"made_as:{manifest['created_at']}")  # an old one in the place of a newer
    root = folder.resolve()
    for name, expected in listed:
        path = (folder / name).resolve()
        if not path.is_relative_to(root):
            errors.append(f"outside:{name}")
        elif not path.is_file():
            errors.append(f"file_missing:{name}")
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    errors.append(f"hash_mismatch:{name}")
    return {"valid": not errors, "errors": errors}


def write_verdict(folder: Path, verdict: dict[str, Any]) -> None:
    """Write the verdict beside the manifest."""
    with (folder / VERDICT).open("wb") as file:
        file.write(orjson.dumps(verdict))
        file.flush()
        os.fsync(file.fileno())


def verdict_of(folder: Path) -> dict[str, Any]:
    """Return the verdict that was written; not valid where none was."""
    try:
        found = orjson.loads((folder / VERDICT).read_bytes())
        return {"valid": found["valid"] is True, "errors": list(found["errors"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"valid": False, "errors": ["validation_missing"]}


def stamps_in(folder: Path) -> list[str]:
    """Return the names of backups in a folder, oldest first; other names are no backups."""
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if one.is_dir() and time_of(one.name) is not None)
