"""What a backup copies of a compacted topic."""

import random
from pathlib import Path
from typing import Any

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.data.backup.cut_records import Compaction
from small_backups import UNITS, sealed, translated

TOPIC = "style-tables"


def left(records: list[Fetched], owed: tuple[bytes, ...] = ()) -> list[Fetched]:
    found = Compaction(UNITS, TOPIC, owed)
    found.add(records)
    return found.left()


def table(offset: int, key: bytes, value: bytes | None, batch: int, ce_id: str = "") -> Fetched:
    return sealed(TOPIC, offset, key, value, ce_id or str(offset), cut=f"modulation/0/{batch}",
                  origin=f"modulation/interactions/0/{offset}/0")  # fmt: skip


def test_what_was_superseded_or_ended_before_the_cut_is_not_copied() -> None:
    records = [table(0, b"ann", b"old", 1), table(1, b"bob", b"words of bob", 1), table(2, b"ann", b"new", 2),
               table(3, b"bob", None, 5)]  # fmt: skip
    assert [raw.value for raw in left(records)] == [b"new"]
    assert [raw.offset for raw in left(records, owed=(b"bob",))] == [2, 3], (
        "an output that is owed is older than its end"
    )


def test_a_value_that_was_superseded_after_the_cut_is_copied() -> None:
    records = [table(0, b"ann", b"old", 1), table(1, b"ann", b"as of the cut", 5), table(2, b"ann", b"later", 6)]
    assert [raw.value for raw in left(records)] == [b"as of the cut", b"later"]


def test_a_copy_of_a_superseded_record_does_not_bring_it_back() -> None:
    first = table(0, b"ann", b"erased", 1)
    assert left([first, table(1, b"ann", None, 2), first._replace(offset=2)]) == []


def test_a_restore_gives_the_same_from_what_is_copied_as_from_everything(tmp_path: Path) -> None:
    rng = random.Random(4)
    for number in range(60):
        records: list[Fetched] = []
        for offset in range(rng.randrange(1, 30)):
            if records and rng.random() < 0.2:
                records.append(rng.choice(records)._replace(offset=offset))
            else:
                value = None if rng.random() < 0.3 else b"%d" % offset
                one: Any = table(offset, rng.choice((b"ann", b"bob", b"eve")), value, rng.randrange(1, 9))
                records.append(one if rng.random() < 0.9 else one._replace(headers=()))
        whole, some = (translated(tmp_path / f"{number}-{name}", {TOPIC: held})
                       for name, held in (("all", records), ("left", left(records))))  # fmt: skip
        given = [[(raw.key, raw.value) for raw in made.records((TOPIC, 0))] for made in (whole, some)]
        assert given[0] == given[1], records
