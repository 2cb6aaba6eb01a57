"""What the page of health reads: checkpoints, snapshots, ages of keys. Only files and the newest of one topic."""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from endocrine.pipeline.console.browsing.newest import newest
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.gateway.app import key_file
from endocrine.pipeline.gateway.keys import KeysError
from endocrine.pipeline.gateway.keys import read as read_api_keys
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
from endocrine.pipeline.process import prompt_keys, seal_keys
from endocrine.pipeline.process.seal_keys import KeyFileError, read_keys
from endocrine.pipeline.replay.state_files import MANIFEST, SnapshotError, read_manifest
from endocrine.pipeline.views.metrics.catalogue import VERIFIED

Status = Literal["ok", "warn", "fail", "unknown"]
DAY_S = 86_400
VERIFIED_DAYS = (2, 7)
"""Days since chains were verified that are worth a warning, and that are too many: it is meant to run daily."""
KEY_DAYS = 365
"""Age of a key that is worth a warning."""
MOST_SNAPSHOTS = 50
_CHECKPOINTS = 50
_VERIFIED_LINE = re.compile(rf"^{VERIFIED} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class KeyAge:
    """One key, or one file of keys."""

    kind: str
    name: str
    days: float | None
    """Since it was made; of a file, since it was last changed."""
    status: Status


@dataclass(frozen=True)
class Snapshot:
    """One snapshot in the folder of the setting."""

    name: str
    taken_at: float | None
    """Seconds since 1970; None: it cannot be used."""
    wrong: str | None = None


@dataclass(frozen=True)
class Vault:
    """What keeps the deployment provable."""

    verified_at: float | None
    """When chains were last found sound, by the file of the setting. Seconds since 1970."""
    checkpoints: Sequence[tuple[str, int, float]]
    """Key id, number and signing time of the newest checkpoint of each key. Signatures are not checked here."""
    snapshots: Sequence[Snapshot]
    keys: Sequence[KeyAge]


def by_age(days: float | None, warn: float, fail: float = float("inf")) -> Status:
    """Return the status word of an age.

    >>> by_age(1, 7, 10), by_age(7, 7, 10), by_age(11, 7, 10), by_age(None, 7)
    ('ok', 'warn', 'fail', 'unknown')
    """
    if days is None:
        return "unknown"
    return "fail" if days > fail else "warn" if days >= warn else "ok"


async def look_at_vault(gateway: Gateway, settings: ConsoleSettings) -> Vault:
    """Return what there is. Raises KafkaError, TimeoutError."""
    now = time.time()
    latest: dict[str, tuple[int, float]] = {}
    with suppress(NoSuchTopic):
        for raw in await newest(gateway.settings, "checkpoints", _CHECKPOINTS):
            with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                value = orjson.loads(raw.value or b"null")
                found = int(value["number"]), float(value["ts"])
                latest[str(value["key_id"])] = max(found, latest.get(str(value["key_id"]), found))
    checkpoints = [(key, *found) for key, found in sorted(latest.items())]

    def files() -> Vault:
        verified = verified_at(settings.verified_file)
        return Vault(verified, checkpoints, snapshots_in(settings.snapshots), ages_of_keys(gateway, now))

    return await asyncio.to_thread(files)


def verified_at(file: Path | None) -> float | None:
    """Return the time in a file of `audit verify --metrics-file`; None where there is none."""
    if file is None:
        return None
    try:
        found = _VERIFIED_LINE.search(file.read_text("utf-8", "replace"))
        return None if found is None else float(found[1])
    except (OSError, ValueError):
        return None


def snapshots_in(folder: Path | None) -> list[Snapshot]:
    """Return the snapshots of a folder, newest first; manifests are checked, states are not."""
    if folder is None or not folder.is_dir():
        return []
    found = []
    for path in sorted({folder, *(one for one in folder.iterdir() if one.is_dir())}):
        if (path / MANIFEST).is_file():
            try:
                found.append(Snapshot(path.name, float(read_manifest(path)["taken_at"])))
            except (SnapshotError, KeyError, TypeError, ValueError) as error:
                found.append(Snapshot(path.name, None, str(error).replace(f"{folder}/", "")))
    return sorted(found, key=lambda one: -(one.taken_at or 0.0))[:MOST_SNAPSHOTS]


def ages_of_keys(gateway: Gateway, now: float) -> list[KeyAge]:
    """Return the age of each API key that is valid, and of the files of seal keys and of keys of prompt hashes."""
    settings = gateway.settings
    files = (
        ("seal keys", settings.seal_key_file or settings.data_dir / seal_keys.FILE, seal_keys.KIND),
        ("keys of prompt hashes", settings.prompt_key_file or settings.data_dir / prompt_keys.FILE, prompt_keys.KIND),
    )
    found = [age for title, path, kind in files for age in _file_ages(title, path, kind, now)]
    try:
        keys = read_api_keys(key_file(settings, gateway.limits))
    except KeysError:
        return [*found, KeyAge("API key", "the file cannot be read", None, "fail")]
    for key in keys:
        if key.revoked is None:
            days = (now - key.created) / DAY_S if key.created else None
            found.append(KeyAge("API key", key.name, days, by_age(days, KEY_DAYS)))
    return found


def _file_ages(title: str, path: Path, kind: str, now: float) -> list[KeyAge]:
    if not path.exists():
        return []
    try:
        names, changed = [key.id for key in read_keys(path, kind)], path.stat().st_mtime
    except (KeyFileError, OSError):
        return [KeyAge(title, "the file cannot be read", None, "fail")]
    days = (now - changed) / DAY_S
    return [KeyAge(title, ", ".join(names), days, by_age(days, KEY_DAYS))]
