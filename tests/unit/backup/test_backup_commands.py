"""The backup commands that need no broker."""

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import backup
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KeyedSeals, SealKey
from endocrine.pipeline.data.backup.bundle import (
    OWED,
    SIGNATURE,
    TOPICS,
    RecordFile,
    read_records,
    sign,
    validate,
    write_verdict,
)
from endocrine.pipeline.data.backup.off_host import OffHostError, encrypt, open_file
from endocrine.pipeline.data.backup.retention import stamp_of
from endocrine.pipeline.process.seal_keys import load_seals, make_key_file
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import read_manifest, write_manifest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def call(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    backup.register(app)
    result = CliRunner().invoke(app, ["backup", *words])
    return result.exit_code, result.stdout


@pytest.fixture(autouse=True)
def without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key file of this folder's deployment, which would not have signed these backups."""
    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(tmp_path / "no-data"))


def made(directory: Path, days_ago: float) -> Path:
    folder = directory / stamp_of(datetime.now(UTC) - timedelta(days=days_ago))
    (folder / TOPICS).mkdir(parents=True)
    file = RecordFile(folder, "signals", 0)
    file.add([Fetched(0, 7, 1, None, b"\xff", (("a", None), ("b", b"\xfe")))])
    (folder / OWED).write_bytes(b"")
    write_manifest(
        folder, {"units": {}, "topics": {"signals/0": file.close()}, "owed": {"file": OWED, "sha256": EMPTY}}
    )
    write_verdict(folder, validate(folder))
    return folder


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    folder = made(tmp_path, 0)
    assert list(read_records(folder, "topics/signals-0.msgpack", 0)) == [
        Fetched(0, 7, 1, None, b"\xff", (("a", None), ("b", b"\xfe")))
    ]


@pytest.mark.parametrize(("days", "status", "code"), [(1, "ok", 0), (8, "warn", 0), (11, "fail", 1), (None, "fail", 1)])
def test_the_age_of_the_newest_valid_backup_decides(tmp_path: Path, days: Any, status: str, code: int) -> None:
    if days is not None:
        made(tmp_path, days)
    found, out = call("health", "--dir", str(tmp_path), "--json")
    assert (found, orjson.loads(out)["status"]) == (code, status)


def test_what_is_too_old_and_what_is_kept_is_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, backups = tmp_path / "policy.yaml", ("--dir", str(tmp_path / "backups"), "--json")
    for days in range(4):
        made(tmp_path / "backups", days + 2)
    policy.write_text("backup: {daily: 1, weekly: 0, monthly: 0, warn_days: 1, fail_days: 3}")
    monkeypatch.setenv("ENDOCRINE_POLICY", str(policy))
    found, out = call("health", *backups)
    assert (found, orjson.loads(out)["status"]) == (0, "warn")
    assert len(orjson.loads(call("prune", *backups)[1])["kept"]) == 1
    assert len(orjson.loads(call("prune", *backups, "--daily", "2")[1])["kept"]) == 2
    policy.write_text("backup: {warn_days: 0.5, fail_days: 1}")
    assert call("health", *backups)[0] == 1
    policy.write_text("backup: {warn_days: 5, fail_days: 1}")
    assert call("health", *backups)[0] == 2, "a warning comes before the failure"


def test_an_invalid_backup_does_not_count(tmp_path: Path) -> None:
    (made(tmp_path, 1) / OWED).write_bytes(b"x")
    assert call("health", "--dir", str(tmp_path))[0] == 1


def test_each_fault_of_a_backup_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path, 1)
    (folder / "topics/signals-0.msgpack").unlink()
    (folder / OWED).write_bytes(b"x")
    assert set(validate(folder)["errors"]) == {"file_missing:topics/signals-0.msgpack", f"hash_mismatch:{OWED}"}
    (folder / "manifest.json").write_bytes(b"{}")
    assert validate(folder)["errors"] == ["bundle_hash"]
    (folder / "manifest.sha256").unlink()
    assert validate(folder)["errors"] == ["manifest_missing"]
    assert call("validate", folder.name, "--dir", str(tmp_path))[0] == 1
    assert call("validate", "../x", "--dir", str(tmp_path))[0] == 2


KEY = SealKey("k1", b"k" * 32)
SEALS = KeyedSeals([KEY], "a.")


def test_a_backup_that_was_changed_and_summed_up_again_is_refused_by_name(tmp_path: Path) -> None:
    folder = made(tmp_path, 1)
    sign(folder, SEALS)
    assert validate(folder, SEALS)["valid"]
    assert validate(folder, KeyedSeals([SealKey("k2", b"n" * 32), KEY], "b."))["valid"], "keys are rotated"
    (folder / OWED).write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    about = {one: part for one, part in read_manifest(folder).items() if one != "form"}
    write_manifest(folder, about | {"owed": {"file": OWED, "sha256": digest}})
    assert validate(folder)["valid"], "without a key it looks sound"
    assert validate(folder, SEALS)["errors"] == ["hmac_mismatch"]
    assert validate(folder, KeyedSeals([SealKey("k2", b"k" * 32)], "a."))["errors"] == ["hmac_key_unknown:k1"]
    (folder / SIGNATURE).unlink()
    assert validate(folder, SEALS)["errors"] == ["hmac_missing"]


def test_an_older_backup_in_the_place_of_a_newer_one_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path, 3)
    write_manifest(
        folder, {"created_at": folder.name, "units": {}, "topics": {}, "owed": {"file": OWED, "sha256": EMPTY}}
    )
    sign(folder, SEALS)
    assert validate(folder, SEALS)["valid"]
    assert validate(folder.rename(tmp_path / "20300101T000000Z"), SEALS)["errors"] == [f"made_as:{folder.name}"]


@pytest.mark.parametrize("command", ["validate", "health", "prune"])
def test_commands_with_the_keys_at_hand_believe_no_backup_that_these_have_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder, keys = made(tmp_path / "backups", 1), tmp_path / "seal.keys"
    words = (command, *((folder.name,) if command == "validate" else ()), "--dir", str(folder.parent), "--json")
    believed = call(*words)
    make_key_file(keys)
    monkeypatch.setenv("ENDOCRINE_SEAL_KEY_FILE", str(keys))
    refused = call(*words)
    sign(folder, load_seals(Settings()))
    assert call(*words) == believed
    assert refused != believed
    assert (believed[0], refused[0]) == ((0, 0) if command == "prune" else (0, 1))


def test_a_manifest_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    folder = made(tmp_path, 1)
    write_manifest(folder, {"units": {}, "topics": {}, "owed": {"file": "../../x", "sha256": EMPTY}})
    assert validate(folder)["errors"] == ["outside:../../x"]


def test_pruning_is_a_dry_run_unless_confirmed_and_leaves_others_alone(tmp_path: Path) -> None:
    for days in range(12):
        made(tmp_path, days)
    (tmp_path / "notes").mkdir()
    words = ("prune", "--dir", str(tmp_path), "--daily", "1", "--weekly", "0", "--monthly", "0", "--json")
    before = sorted(tmp_path.iterdir())
    planned = orjson.loads(call(*words)[1])
    assert sorted(tmp_path.iterdir()) == before
    assert planned["others"] == ["notes"]
    call(*words, "--confirm")
    assert {one.name for one in tmp_path.iterdir()} == {"notes", *planned["kept"]}


def test_restore_wants_the_word(tmp_path: Path) -> None:
    assert call("restore", made(tmp_path, 1).name, "--dir", str(tmp_path))[0] == 2


@pytest.mark.skipif(shutil.which("age") is None, reason="the tool `age` is not installed")
def test_an_encrypted_backup_opens_with_its_identity_alone(tmp_path: Path) -> None:
    folder = made(tmp_path, 1)
    identities = [tmp_path / name for name in ("one", "two")]
    for path in identities:
        subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    line = next(text for text in identities[0].read_text().splitlines() if "public key:" in text)
    file = encrypt(folder, line.rpartition(" ")[2])
    assert b"signals" not in file.read_bytes()
    with pytest.raises(OffHostError, match="cannot be opened"):
        open_file(file, identities[1], tmp_path / "other")
    assert open_file(file, identities[0], tmp_path / "other") == folder.name
    assert validate(tmp_path / "other" / folder.name)["valid"]
    with pytest.raises(OffHostError, match="age recipient"):
        encrypt(folder, "-x")
