"""What a backup becomes under a new prefix."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from endocrine.pipeline.core.records import Fetched, OutputRecord
from endocrine.pipeline.core.seals import KeyedSeals, SealKey
from endocrine.pipeline.data.backup.translation import UnknownKeys
from small_backups import NEW, UNITS, sealed, translated


def inputs() -> list[Fetched]:
    return [Fetched(0, offset, 1, b"ann", b"%d" % offset, ()) for offset in (10, 11, 12, 13)]


def test_next_offsets_count_what_is_restored_before_them_so_unread_records_are_read(tmp_path: Path) -> None:
    done = translated(tmp_path, {"interactions": inputs()})
    assert done.next_offsets("modulation/0") == {"interactions": 2, "incidents": 0}
    assert [raw.value for raw in done.records(("interactions", 0))] == [b"10", b"11", b"12", b"13"]


def test_what_a_unit_wrote_after_its_state_was_taken_is_left_out_with_copies(tmp_path: Path) -> None:
    first = sealed("modulations", 20, b"ann", b"a", "1", origin="modulation/interactions/0/11/0", cut="modulation/0/5")
    outputs = [
        first,
        first._replace(offset=21),
        sealed("modulations", 22, b"ann", b"b", "2", origin="modulation/interactions/0/12/0", cut="modulation/0/6"),
        sealed("modulations", 23, b"ann", b"c", "3", origin="modulation/interactions/0/13/0", cut="modulation/1/1"),
    ]
    done = translated(tmp_path, {"interactions": inputs(), "modulations": outputs})
    assert [raw.value for raw in done.records(("modulations", 0))] == [b"a"]
    assert done.next_offsets("gating/0") == {"modulations": 1}


def test_an_origin_names_the_new_offset_and_is_removed_where_its_record_is_not_restored(tmp_path: Path) -> None:
    outputs = [
        sealed("modulations", 20, b"ann", b"a", "1", origin="modulation/interactions/0/11/0", cut="modulation/0/5"),
        sealed("modulations", 21, b"ann", b"b", "2", origin="modulation/interactions/0/9/0", cut="modulation/0/4"),
    ]
    done = translated(tmp_path, {"interactions": inputs(), "modulations": outputs})
    found = [dict(raw.headers) for raw in done.records(("modulations", 0))]
    assert found[0]["endocrine-origin"] == b"modulation/interactions/0/1/0"
    assert "endocrine-origin" not in found[1]
    for raw, headers in zip(done.records(("modulations", 0)), found, strict=True):
        assert NEW.valid("modulations", raw, headers)


def test_a_forged_seal_stays_forged(tmp_path: Path) -> None:
    forged = Fetched(0, 20, 1, b"ann", b"x", (("endocrine-seal", b"k:" + b"0" * 32),))
    done = translated(tmp_path, {"modulations": [forged]})
    (raw,) = done.records(("modulations", 0))
    assert not NEW.valid("modulations", raw, dict(raw.headers))


def test_seals_under_an_unknown_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownKeys, match="ENDOCRINE_SEAL_KEY_FILE"):
        translated(
            tmp_path,
            {"modulations": [sealed("modulations", 20, b"ann", b"a", "1", cut="modulation/0/5")]},
            old=KeyedSeals([SealKey("other", b"o" * 32)], "old."),
        )


def test_of_compacted_topics_the_last_record_of_a_key_is_kept_and_no_tombstone(tmp_path: Path) -> None:
    tables = [
        sealed("style-tables", 5, b"ann", b"1", "1", cut="feedback/0/0"),
        sealed("style-tables", 6, b"bob", b"2", "2", cut="feedback/0/0"),
        sealed("style-tables", 7, b"ann", b"3", "3", cut="feedback/0/0"),
        sealed("style-tables", 8, b"bob", None, "4", cut="feedback/0/0"),
    ]
    done = translated(tmp_path, {"style-tables": tables})
    assert [(raw.key, raw.value) for raw in done.records(("style-tables", 0))] == [(b"ann", b"3")]


def test_outputs_that_are_owed_follow_unless_they_are_there_by_id(tmp_path: Path) -> None:
    there = sealed("modulations", 20, b"ann", b"a", "1", origin="modulation/interactions/0/10/0", cut="modulation/0/5")
    missing = sealed("modulations", 0, b"ann", b"b", "2", origin="modulation/interactions/0/11/0", cut="modulation/0/5")
    outs = [OutputRecord("modulations", 0, raw.key, raw.value, raw.headers, False) for raw in (there, missing)]
    done = translated(
        tmp_path, {"interactions": inputs(), "modulations": [there]}, [["modulation/0", 5, [], list(map(tuple, outs))]]
    )
    found = list(done.records(("modulations", 0)))
    assert [raw.value for raw in found] == [b"a", b"b"]
    assert done.count(("modulations", 0)) == 2
    assert dict(found[1].headers)["endocrine-origin"] == b"modulation/interactions/0/1/0"


def actions(folder: Path, *places: tuple[int, str | None]) -> list[Any]:
    """What was done about dead letters at these offsets, of these origins, as it is restored."""
    letters = [
        sealed("signals.dlq", offset, b"ann", b"x", str(offset), origin=f"modulation/signals/0/{at}/0")
        for offset, at in ((40, 12), (44, 13))
    ]
    values = [
        {"action": "discard", "topic": "signals.dlq", "partition": 0, "offset": offset, "origin": origin}
        for offset, origin in places
    ]
    done = translated(
        folder,
        {
            "signals": inputs(),
            "signals.dlq": [*letters, letters[1]._replace(offset=45)],
            "dlq-actions": [Fetched(0, n, 1, b"k", orjson.dumps(value), ()) for n, value in enumerate(values, 3)],
        },
    )
    return [(raw.key, orjson.loads(raw.value or b"")) for raw in done.records(("dlq-actions", 0))]


@pytest.fixture
def signals_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        UNITS, "modulation/0", {"batch": 5, "front": {"interactions": 12, "incidents": 0, "signals": 14}}
    )


@pytest.mark.usefixtures("signals_read")
def test_what_was_done_about_a_dead_letter_names_its_new_place(tmp_path: Path) -> None:
    (done,) = actions(tmp_path, (44, "signals/0/13"))
    assert done[0] == b"signals.dlq/0/1"
    assert (done[1]["offset"], done[1]["origin"]) == (1, "signals/0/3")


@pytest.mark.usefixtures("signals_read")
def test_an_action_on_a_letter_that_is_not_restored_points_at_no_other_letter(tmp_path: Path) -> None:
    copy, gone, strange = actions(tmp_path, (45, "signals/0/13"), (0, "signals/0/1"), (1, "nothing"))
    assert copy[1]["origin"] == "signals/0/3", "its origin finds the letter"
    assert copy[1]["offset"] > 10
    assert (gone[1]["offset"] > 10, gone[1]["origin"]) == (True, None)
    assert strange[0] == b"k", "not ours: it stays as it is"


def test_journal_and_checkpoints_stay_in_the_backup(tmp_path: Path) -> None:
    done = translated(tmp_path, {"journal": inputs(), "checkpoints": [], "interactions": inputs()})
    assert done.places == [("interactions", 0)]
