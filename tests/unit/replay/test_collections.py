"""Verification walks no garbage while it works, and leaves the collector as it found it."""

import gc

import pytest

from endocrine.pipeline.process.malloc import without_collections


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_off_inside_and_afterwards_as_before(before: bool) -> None:
    was = gc.isenabled()
    (gc.enable if before else gc.disable)()
    inside = None
    try:
        with without_collections():
            inside = gc.isenabled()
        assert inside is False
        assert gc.isenabled() is before
    finally:
        (gc.enable if was else gc.disable)()


def test_what_the_process_has_frozen_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with without_collections():
        pass
    # Some of them may go meanwhile: another thread of the process has let go of its last reference.
    assert gc.get_freeze_count() > 0.99 * frozen > 0


def test_what_it_freezes_itself_can_be_collected_afterwards() -> None:
    gc.unfreeze()
    try:
        with without_collections():
            assert gc.get_freeze_count() > 0
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()
