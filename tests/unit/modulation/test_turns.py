"""A turn's life: revisions, tightening, the cap, opening twice, closing (rules, sections 1, 4 and 6)."""

import pytest


def test_a_signal_that_names_an_open_turn_makes_a_new_revision(life, fates):
    life.open()
    (record,) = life.signal("stress", 0.5, ts=1002.0, audit_id="t1")
    assert (record["revision"], record["audit_id"], record["ts"]) == (1, "t1", 1002.0)
    assert record["parameters"]["temperature"] == pytest.approx(0.4)
    assert fates(record) == [("stress", 0.5, "used")]
    (record,) = life.signal("stress", 0.6, ts=1003.0, audit_id="t1")
    assert record["revision"] == 2


def test_a_signal_that_changes_no_parameter_makes_no_revision(life):
    life.open(signals={"stress": 0.5})
    assert life.signal("stress", 0.5, ts=1005.0, audit_id="t1") == []


def test_a_signal_that_names_no_open_turn_makes_none_either(life):
    life.open()
    assert life.signal("stress", 1.0) == []
    assert life.signal("novelty", 1.0, audit_id="t9") == []
    life.close()
    assert life.signal("trust", 1.0, audit_id="t1") == []


def test_a_suppressed_signal_re_modulates_nothing(life):
    life.open(signals={"stress": 0.5})
    assert life.signal("stress", 1.0, ts=1000.5, audit_id="t1") == []


def test_a_revision_keeps_the_signals_the_turn_began_with_although_later_turns_saw_them_expire(life):
    life.open("t1", signals={"stress": 1.0})
    life.open("t2", ts=1100.0)
    (record,) = life.signal("novelty", 1.0, ts=1100.0, audit_id="t1")
    assert record["parameters"]["temperature"] == pytest.approx(0.1)
    assert record["parameters"]["memory_write"] == 1.0


def test_a_one_turn_signal_reaches_its_open_turn_and_no_other(life, fates):
    life.open("t1")
    (record,) = life.signal("alignment_risk", 0.9, ts=1500.0, ttl_ms=0, audit_id="t1")
    assert (record["mode"], record["review"], record["revision"]) == ("strict", "suggested", 1)
    other = life.open("t2", ts=1500.0)
    assert other["mode"] == "balanced"
    assert fates(other) == [("alignment_risk", 0.9, "other_turn")]


def test_a_blocked_tool_makes_the_turn_strict_with_its_numbers_as_they_were(life):
    before = life.open(signals={"novelty": 0.9})
    (record,) = life.block()
    changed = {"safety_mode": "strict", "tool_allowlist": ["retrieval"]}
    assert record["parameters"] == {**before["parameters"], **changed}
    assert (record["revision"], record["mode"], record["prompt_style"], record["ts"]) == (1, "strict", "strict", 1001.0)
    assert record["lineage"]["temperature"] == [{"step": "carry", "by": "revision 0", "from": None, "to": 1.0}]
    last = record["lineage"]["safety_mode"][-1]
    assert last == {"step": "tighten", "by": "gating/c/1", "from": "creative", "to": "strict"}


def test_a_second_incident_changes_nothing_more(life):
    life.open()
    life.block()
    assert life.block(incident_id="gating/c/2") == []
    (record,) = life.signal("novelty", 0.9, ts=1002.0, audit_id="t1")
    assert record["lineage"]["safety_mode"][-1]["by"] == "gating/c/1"


def test_a_tightened_turn_stays_strict_whatever_signals_come(life):
    life.open()
    life.block()
    (record,) = life.signal("novelty", 0.9, ts=1002.0, audit_id="t1")
    assert (record["revision"], record["mode"], record["parameters"]["tool_allowlist"]) == (2, "strict", ["retrieval"])


def test_tightening_does_not_persist_to_the_next_turn(life):
    life.open()
    life.block()
    assert life.open("t2", ts=1002.0)["mode"] == "balanced"


def test_other_incidents_are_left_to_others(life):
    kind = "drift_lock"
    life.open()
    assert life.block(kind=kind) == []
    assert life.block(audit_id=None) == []
    assert life.block(audit_id="t9") == []


def test_a_turn_opened_twice_with_the_same_content_is_one_turn(life):
    assert life.open(signals={"stress": 0.5}, id="first") is not None
    state = life.state
    assert life.open(signals={"stress": 0.5}, id="second") is None
    assert life.state == state
    life.close()
    assert life.open(signals={"stress": 0.5}) is None


@pytest.mark.parametrize("more", [{"prompt": "other"}, {"ts": 1000.5}, {"signals": {"stress": 0.6}}, {"turn": 1}])
def test_a_turn_opened_twice_with_other_content_is_rejected(life, rejected, more):
    life.open(signals={"stress": 0.5})
    state = life.state
    error = rejected(lambda: life.open(**{"signals": {"stress": 0.5}, **more}))
    assert error.kind == "conflicting_turn"
    assert "'t1'" in str(error)
    assert life.state == state
    life.close()
    assert rejected(lambda: life.open(prompt="other")).kind == "conflicting_turn"


def test_a_turn_beyond_the_cap_is_refused(life):
    life.cap(2)
    records = [life.open(f"t{number}", ts=1000.0 + number) for number in range(4)]
    assert [record["admitted"] for record in records] == [True, True, False, False]
    assert [record["refusal"] for record in records] == [None, None, "rate_limited", "rate_limited"]
    assert records[3]["parameters"] == records[0]["parameters"]


def test_the_count_resets_after_more_than_a_day(life):
    life.cap(1)
    start = 100_000.0  # the first message resets the counter: more than a day since 0
    assert life.open("t1", ts=start)["admitted"]
    assert not life.open("t2", ts=start + 86_400)["admitted"]
    assert life.open("t3", ts=start + 86_400.5)["admitted"]


def test_a_cap_of_0_is_unlimited_but_counted(life):
    for number in range(3):
        assert life.open(f"t{number}")["admitted"]
    life.cap(3)
    assert not life.open("t9")["admitted"]
    life.cap(0)
    assert life.open("t10")["admitted"]


def test_a_refused_turn_is_not_counted(life):
    life.cap(1)
    for number in range(4):
        life.open(f"t{number}")
    life.cap(3)
    assert [life.open(f"t{number}")["admitted"] for number in range(4, 7)] == [True, True, False]


def test_a_refused_turn_stays_refused_in_its_revisions(life):
    life.cap(1)
    life.open("t0")
    life.open("t1")
    (record,) = life.signal("stress", 0.5, ts=1002.0, audit_id="t1")
    assert (record["admitted"], record["refusal"]) == (False, "rate_limited")


def test_the_oldest_open_turn_makes_room_for_a_new_one(new_life):
    life = new_life({"homeostat": {"memory": {"open_turns": 2}}})
    for number in range(3):
        life.open(f"t{number}", ts=1000.0 + number)
    assert list(life.state["turns"]) == ["t1", "t2"]
    assert life.signal("stress", 1.0, ts=1003.0, audit_id="t0") == []
    assert [audit_id for audit_id, _ in life.state["closed"]] == ["t0"]


def test_commands_of_others_and_unknown_closings_leave_the_state_as_it_is(life):
    life.open()
    state = life.state
    life.feed("commands", kind="add_note", by="op", text="hi", ts=1.0)
    life.feed("commands", kind="release_lock", by="op", ts=1.0)
    life.close("t9")
    assert life.state == state


def test_turns_that_we_answer_have_a_bound_of_their_own(new_life):
    life = new_life({"homeostat": {"memory": {"open_turns": 1, "answered_turns": 2}}})
    for n in range(3):
        life.open(f"ours{n}", ts=1000.0 + n, respond=True)
        life.open(f"theirs{n}", ts=1000.5 + n)
    assert list(life.state["turns"]) == ["ours1", "ours2", "theirs2"]
