"""Histories that releases have left in tests/data/histories: all records of all their topics."""

import json
import lzma
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgpack

from endocrine.pipeline.core.changelog import CHECKPOINT_KEY
from endocrine.pipeline.core.records import Fetched

HISTORIES = Path(__file__).resolve().parent.parent / "data" / "histories"
MANIFEST, RECORDS = "manifest.json", "records.msgpack.xz"
Place = tuple[str, int]


class RecordedRelease:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        self._file = folder / RECORDS

    @cached_property
    def logs(self) -> dict[Place, list[Fetched]]:
        """Records by topic (without prefix, changelogs included) and partition."""
        found: dict[Place, list[Fetched]] = defaultdict(list)
        for topic, n, offset, when, key, value, headers in msgpack.unpackb(
            lzma.decompress(self._file.read_bytes()), use_list=False
        ):
            found[topic, n].append(Fetched(n, offset, when, key, value, headers))
        return found


def releases() -> list[RecordedRelease]:
    """Return all, by name."""
    return [RecordedRelease(file.parent) for file in sorted(HISTORIES.glob(f"*/{MANIFEST}"))]


def written_versions(records: Iterable[Any]) -> dict[str, list[int]]:
    """Return which versions of each kind of bytes there are among `[topic, ..., key, value, headers]`."""
    found: dict[str, set[int]] = defaultdict(set)
    for topic, *_, key, value, headers in records:
        if topic == "journal":
            named = bytes(dict(headers).get("ce_type") or b"v0")
            found["journal record"].add(int(named.rpartition(b"v")[2]))
        if not topic.startswith("changelog.") or not value:
            continue
        if key == CHECKPOINT_KEY:
            found["checkpoint"].add(msgpack.unpackb(value)[0])
        elif key[:1] == b"o":
            found["outbox"].add(value[0])
        elif key[:1] == b"s":
            found["state"].add(value[1] if value[0] == 0 else 1)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
