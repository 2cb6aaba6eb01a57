"""Bounds of what is remembered of alignment_risk: when readings are joined, end, wait, and are listed."""

from typing import Any

import pytest

DAY_S = 86_400.0


def remembering(new_life: Any, **bounds: int) -> Any:
    return new_life({"homeostat": {"memory": bounds}})


def test_readings_up_to_the_bound_are_kept_apart_and_beyond_it_joined_by_hundredths(new_life):
    life = remembering(new_life, risk_signals=2)
    life.signal("alignment_risk", 0.891, ttl_ms=5000)
    life.signal("alignment_risk", 0.899, ttl_ms=5000)
    assert len(life.state["risk"]) == 2
    life.signal("alignment_risk", 0.9, ttl_ms=5000)
    assert len(life.state["risk"]) == 1
    life.signal("alignment_risk", 0.0, ttl_ms=5000)
    life.signal("alignment_risk", 0.001, ttl_ms=5000)
    assert len(life.state["risk"]) == 3, "none is joined downwards, 0 with nothing above it"


def test_a_turn_that_opens_between_readings_below_the_bound_joins_none(new_life):
    life = remembering(new_life, risk_signals=3)
    life.signal("alignment_risk", 0.891, ttl_ms=10**6)
    life.open("t1", ts=1000.0)
    life.signal("alignment_risk", 0.899, ts=1000.0, ttl_ms=10**6)
    assert len(life.state["risk"]) == 2


@pytest.mark.parametrize("first_longer", [True, False])
def test_joined_readings_count_with_the_highest_level_until_the_latest_end(new_life, fates, first_longer):
    life = remembering(new_life, risk_signals=1)
    ttl_ms = [9000, 1000] if first_longer else [1000, 9000]
    for level, ttl in zip([0.891, 0.899], ttl_ms, strict=True):
        life.signal("alignment_risk", level, ts=1000.0, ttl_ms=ttl)
    assert ("alignment_risk", 0.899, "used") in fates(life.open("t1", ts=1009.0))
    assert life.open("t2", ts=1009.001)["mode"] == "balanced"


def test_a_reading_after_a_clearing_counts_though_it_is_joined_with_one_from_before(new_life):
    life = remembering(new_life, risk_signals=1)
    life.signal("alignment_risk", 0.895, ttl_ms=10**6)
    life.signal("alignment_risk", 0.896, ttl_ms=10**6)
    assert life.open("t1")["mode"] == "strict"
    (record,) = life.clear(audit_id="t1")
    assert record["mode"] == "balanced"
    (record,) = life.signal("alignment_risk", 0.891, ts=1000.0, ttl_ms=10**6, audit_id="t1")
    assert record["mode"] == "strict"


def test_a_reading_at_its_very_end_counts_and_is_not_listed_as_expired(life, fates):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=1000)
    assert fates(life.open("t1", ts=1001.0)) == [("alignment_risk", 0.9, "used")]


def test_a_reading_waits_for_its_turn_for_a_day_to_the_microsecond(new_life):
    for after, mode in ((DAY_S, "strict"), (DAY_S + 0.001, "balanced")):
        life = new_life()
        life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=0, audit_id="t1")
        life.open("t2", ts=1000.0 + after)
        assert life.open("t1", ts=1000.0 + after)["mode"] == mode


def test_the_day_of_a_late_reading_begins_when_it_comes(life):
    life.open("t0", ts=5000.0)
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=0, audit_id="t1")
    life.open("t2", ts=5000.0 + DAY_S)
    assert life.open("t1", ts=5000.0 + DAY_S)["mode"] == "strict"


def test_what_was_displaced_counts_for_every_turn_until_its_end_and_no_longer(new_life):
    life = remembering(new_life, risk_signals=1)
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=0, audit_id="t1")
    life.signal("alignment_risk", 0.1, ts=1000.0, ttl_ms=0, audit_id="t2")
    assert life.open("t8", ts=1000.0 + DAY_S)["mode"] == "strict"
    assert life.open("t9", ts=1000.001 + DAY_S)["mode"] == "balanced"


def test_a_reading_that_waits_for_another_turn_is_listed_once_and_again_when_it_changes(life, fates):
    shown = ("alignment_risk", 0.9, "other_turn")
    life.signal("alignment_risk", 0.9, ttl_ms=0, audit_id="t9")
    assert shown in fates(life.open("t1"))
    assert shown not in fates(life.open("t2"))
    life.signal("alignment_risk", 0.1, ttl_ms=0, audit_id="t9")
    assert shown in fates(life.open("t3"))


def test_a_clearing_ends_what_a_person_let_go_on_so_that_the_next_high_risk_is_held_again(new_life):
    life = new_life({"review": {"hold_at": 0.8}})
    assert life.open("t1", signals={"alignment_risk": 0.95})["refusal"] == "held"
    (record,) = life.approve()
    assert record["refusal"] is None
    life.clear(audit_id="t1")
    (record,) = life.signal("alignment_risk", 0.9, ts=1020.0, ttl_ms=0, audit_id="t1")
    assert record["refusal"] == "held"
