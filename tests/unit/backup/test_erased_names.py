"""Whose records are left out of a backup after an erasure."""

from typing import Any

import orjson
import pytest

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.data.backup.erased import ErasedNames, name_digest

BEFORE, AT, AFTER = 1_000, 2_000, 3_000


def record(key: str, value: Any = None, headers: Any = (), when: int = BEFORE, offset: int = 5) -> Fetched:
    return Fetched(0, offset, when, key.encode(), orjson.dumps(value), tuple(headers))


def erased(*names: str, appended: int = AT, ts: float = AT / 1000, **other: Any) -> ErasedNames:
    event = {
        "kind": "erasure",
        "outcome": "done",
        "report": {"erasure_id": "e" * 64, "memories": [], "names": list(map(name_digest, names))},
        "ts": ts,
        **other,
    }
    found = ErasedNames()
    found.learn([record("$ops", event, when=appended), Fetched(0, 9, AT, None, b"no json", ()), record("$ops", [1])])
    return found


@pytest.mark.parametrize(
    ("topic", "raw"),
    [
        ("interactions", record("ann", {"identity": "ann"})),
        ("interactions.dlq", record("ann", "no object")),
        ("observations", record("x", {"identity_ref": "ann"})),
        ("link-hints", record("bob", {"a": "bob", "b": "ann"})),
        ("link-evidence", record("$ev:c2:0", {"identity": "ann"})),
        ("captured", record("project:p05", {"subject": "project:p05", "identity": "ann"})),
        ("memory-events", record("project:p05", {}, [("ce_subject", b"ann")])),
        ("candidates", record("project:p05", {"source": {"identities": ["ann"]}})),
        ("commands", record("$registry", {"kind": "erase", "of": "ann"})),
    ],
)
def test_records_of_an_erased_subject_are_left_out_and_no_others(topic: str, raw: Fetched) -> None:
    assert erased("ann").without(topic, [raw], 6) == []
    assert erased("bob2", "an", "Ann").without(topic, [raw], 6) == [raw]


def test_what_others_wrote_stays_whatever_it_mentions() -> None:
    raw = record("bob", {"identity": "bob", "prompt": "ann", "note": "ann"})
    assert erased("ann").without("interactions", [raw], 6) == [raw]


def test_memories_that_were_from_the_subject_alone_and_records_of_the_erasure_itself_are_left_out() -> None:
    report = {"erasure_id": "e" * 64, "names": [], "memories": [name_digest("m-1")]}
    for value, left in (({"memory_id": "m-1"}, 0), ({"memory_id": "m-2"}, 1), ({"erasure_id": "e" * 64}, 0)):
        raw = record("project:p05", value)
        assert len(erased(report=report).without("memory-events", [raw], 6)) == left, value
    several = record("project:p05", {"source": {"identities": ["ann", "bob"]}})
    assert erased("ann").without("candidates", [several], 6) == [several]


def test_what_comes_after_the_erasure_is_a_new_life() -> None:
    raw = record("ann", when=AFTER)
    assert erased("ann").without("interactions", [raw], 6) == [raw]
    assert erased("ann", appended=AFTER + 1).without("interactions", [raw], 6) == [raw], "a receipt that was restored"


def test_what_some_agent_has_not_read_stays() -> None:
    raw = record("ann")
    assert erased("ann").without("interactions", [raw], read_by_all=5) == [raw]


def test_a_chain_stays_whole_and_an_erasure_that_did_not_end_counts_for_nothing() -> None:
    raw = record("ann")
    assert erased("ann").without("audits", [raw], 6) == [raw]
    assert erased("ann", outcome="incomplete").without("interactions", [raw], 6) == [raw]
