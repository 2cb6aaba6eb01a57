"""Workers and connectors share a file of seal keys; what is wrong with it is said without showing a key."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from endocrine.pipeline.process.seal_keys import SealKeyError, load_seals, make_key_file, new_key_line, read_keys
from endocrine.pipeline.process.settings import Settings

SECRET = "ab" * 32


def file(tmp_path, text):
    path = tmp_path / "seal.keys"
    path.write_text(text)
    return path


def test_keys_are_read_in_their_order_without_comments(tmp_path):
    path = file(tmp_path, f"# ours\n\nnew:{SECRET}  # since May\nold:{'cd' * 32}\n")
    assert [(key.id, key.secret.hex()) for key in read_keys(path)] == [("new", SECRET), ("old", "cd" * 32)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ""),
        ("# nothing\n", ""),
        (f"k:{SECRET[:-1]}\n", ":1"),
        (f"a:{SECRET}\nb {SECRET}\n", ":2"),
        (f"a:{SECRET}\na:{SECRET}\n", ":2"),
        ("k:" + "x" * 100_000, ""),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line_and_no_key(tmp_path, text, place):
    path = file(tmp_path, text)
    with pytest.raises(SealKeyError, match="expected") as failure:
        read_keys(path)
    assert f"{path}{place}" in str(failure.value)
    assert SECRET[:10] not in str(failure.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SealKeyError, match=r"none\.keys: cannot be read"):
        load_seals(Settings(seal_key_file=tmp_path / "none.keys"))


def test_on_this_machine_a_key_is_made_once_for_the_owner_alone(tmp_path):
    settings = Settings(data_dir=tmp_path / "data", bootstrap="127.0.0.1:9092,localhost:9093")
    load_seals(settings)
    path = tmp_path / "data" / "seal.keys"
    before = path.read_text()
    load_seals(settings)
    assert path.read_text() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "bootstrap", ["kafka.example:9092", "127.0.0.1:9092,kafka.example:9092", "127.0.0.1.example:1"]
)
def test_for_a_broker_elsewhere_the_file_must_be_named(tmp_path, bootstrap):
    with pytest.raises(SealKeyError, match="ENDOCRINE_SEAL_KEY_FILE is not set"):
        load_seals(Settings(data_dir=tmp_path, bootstrap=bootstrap))
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_end_up_with_one_key(tmp_path):
    path = tmp_path / "seal.keys"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make_key_file(path), range(32)))
    assert len(read_keys(path)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["seal.keys"]


def test_the_commands_line_is_a_line_of_the_file(tmp_path):
    assert len(read_keys(file(tmp_path, f"{new_key_line()}\n{new_key_line()}\n"))) == 2
