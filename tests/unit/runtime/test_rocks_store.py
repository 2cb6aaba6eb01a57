"""The RocksDB store: what is flushed stays with its mark, what is not flushed never was."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from endocrine.pipeline.runtime.state_stores import RocksStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[RocksStore]:
    opened = RocksStore(path, max_age_s=1000)
    yield opened
    opened.close()


def test_what_is_set_can_be_read_before_and_after_it_is_flushed(store: RocksStore) -> None:
    store[b"sann"] = b"1"
    assert store.get(b"sann") == b"1"
    store.flush(10, 3, {b"sbob"})
    assert (store[b"sann"], dict(store)) == (b"1", {b"sann": b"1"})


def test_a_closed_store_opens_again_with_its_mark_and_its_states(path: Path) -> None:
    first = RocksStore(path, max_age_s=1000)
    first[b"sann"], first[b"sbob"] = b"1", b"2"
    first.pop(b"sbob")
    first.flush(10, 3, {b"sbob"})
    first.close()
    again = RocksStore(path, max_age_s=1000)
    position = again.begin()
    assert position is not None
    assert (position.next_offset, position.epoch, position.void) == (10, 3, (b"sbob",))
    assert dict(again) == {b"sann": b"1"}
    again.close()


def test_what_was_not_flushed_is_forgotten(path: Path) -> None:
    first = RocksStore(path, max_age_s=1000)
    first[b"sann"] = b"1"
    first.flush(5, 0, set())
    first[b"sann"] = b"2"
    first.close()
    again = RocksStore(path, max_age_s=1000)
    assert again[b"sann"] == b"1"
    again[b"sann"] = b"3"
    again.begin()
    assert again[b"sann"] == b"1"
    again.close()


def test_a_store_left_alone_for_too_long_has_no_mark_so_that_a_takeover_clears_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = RocksStore(path, max_age_s=1000)
    first[b"sann"] = b"1"
    first.flush(5, 0, set())
    first.close()
    later = time.time() + 2000
    monkeypatch.setattr("endocrine.pipeline.runtime.state_stores.time", SimpleNamespace(time=lambda: later))
    again = RocksStore(path, max_age_s=1000)
    assert again.begin() is None
    again.close()


def test_clear_leaves_a_store_that_works(store: RocksStore) -> None:
    store[b"sann"] = b"1"
    store.flush(5, 0, set())
    store.clear()
    assert store.begin() is None
    store[b"sbob"] = b"2"
    store.flush(6, 0, set())
    assert dict(store) == {b"sbob": b"2"}
    with pytest.raises(KeyError):
        del store[b"sann"]
