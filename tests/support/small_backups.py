"""Backups of a few records, and what they become under a new prefix."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgpack

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KeyedSeals, SealKey
from endocrine.pipeline.data.backup.bundle import OWED, TOPICS, RecordFile
from endocrine.pipeline.data.backup.translation import Translation

KEY = SealKey("k", b"k" * 32)
OLD, NEW = KeyedSeals([KEY], "old."), KeyedSeals([KEY], "new.")
UNITS = {
    "modulation/0": {"batch": 5, "front": {"interactions": 12, "incidents": 0}},
    "gating/0": {"batch": 3, "front": {"modulations": 23}},
}


def sealed(topic: str, offset: int, key: bytes, value: bytes | None, ce_id: str, **named: str) -> Fetched:
    """A record of ours. origin, cut, moved: headers of ours."""
    names = {"origin": "endocrine-origin", "moved": "endocrine-rekeyed-from", "cut": "endocrine-cut"}
    headers: list[Any] = [("ce_id", ce_id.encode())]
    headers += [(names[name], content.encode()) for name, content in named.items()]
    own = dict(headers)
    seal = OLD.seal(
        topic, 0, key, value, ce_id.encode(), own.get("endocrine-origin"), own.get("endocrine-rekeyed-from")
    )
    return Fetched(0, offset, 1, key, value, (*headers, ("endocrine-seal", seal)))


def translated(
    folder: Path, topics: dict[str, Iterable[Fetched]], owed: Iterable[Any] = (), old: KeyedSeals = OLD
) -> Translation:
    (folder / TOPICS).mkdir(parents=True)
    listed = {}
    for topic, records in topics.items():
        file = RecordFile(folder, topic, 0)
        file.add(records)
        listed[f"{topic}/0"] = file.close()
    (folder / OWED).write_bytes(b"".join(msgpack.packb(one) for one in owed))
    return Translation(folder, {"units": UNITS, "topics": listed, "owed": {"file": OWED}}, old, NEW)
