"""The bond ledger: entries, events, peaks, messages, commands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.bonds.entry import read_entry
from endocrine.agents.contract import Reject
from endocrine.schemas.bonds import Bond
from properties import examples

NOON = 1_767_614_645.0  # 2026-01-05 12:04:05 UTC


def test_a_new_entry_has_the_defaults_and_the_time_of_what_created_it(ledger):
    _, entry = ledger.message(500.0)
    assert entry == {
        "user_id": "ann",
        "phase": "dormant",
        "prev_phase": "dormant",
        "archetype": "unknown",
        "phase_entered_at": 500.0,
        "turn_count": 0,
        "peak_nodes": {},
        "risk_level": "low",
        "daily_msg_cap": 0,
        "daily_msg_count": 1,
        "daily_msg_reset_at": 0.0,
        "egg_status": "none",
        "notes": [],
        "last_updated": 500.0,
    }


def test_a_detection_records_each_change_and_refreshes_the_rest(ledger):
    ledger.detect(ts=1000.0)
    events, entry = ledger.detect("bonding", "high", ts=2000.0, archetype="caregiver", egg="cracked", turns=17)
    assert events == [
        ("phase_transition", "phase dormant -> bonding", {"old": "dormant", "new": "bonding"}),
        ("risk_change", "risk low -> high", {"old": "low", "new": "high"}),
    ]
    assert entry | {"peak_nodes": {}} == {
        "user_id": "ann",
        "phase": "bonding",
        "prev_phase": "dormant",
        "archetype": "caregiver",
        "phase_entered_at": 2000.0,
        "turn_count": 17,
        "peak_nodes": {},
        "risk_level": "high",
        "daily_msg_cap": 0,
        "daily_msg_count": 0,
        "daily_msg_reset_at": 0.0,
        "egg_status": "cracked",
        "notes": [],
        "last_updated": 2000.0,
    }


def test_a_detection_that_changes_nothing_makes_no_event_and_keeps_the_phase_time(ledger):
    ledger.detect("bonding", ts=1000.0)
    events, entry = ledger.detect("bonding", ts=2000.0)
    assert events == []
    assert (entry["phase_entered_at"], entry["prev_phase"], entry["last_updated"]) == (1000.0, "dormant", 2000.0)


def test_the_previous_phase_is_the_one_left(ledger):
    ledger.detect("bonding")
    _, entry = ledger.detect("entrained")
    assert (entry["prev_phase"], entry["phase"]) == ("bonding", "entrained")


def test_peaks_only_rise(ledger):
    ledger.detect(ulm={"trust": 0.5, "awe": 0.1})
    _, entry = ledger.detect(ulm={"trust": 0.3, "awe": 0.15, "fear": 0.1})
    assert entry["peak_nodes"] == {"trust": 0.5, "awe": 0.15, "fear": 0.1}


@pytest.mark.parametrize(
    ("peak", "activation", "spikes"),
    [(0.5, 0.69, False), (0.5, 0.7, True), (0.4, 0.6, True), (0.1, 0.3, True), (0.7, 0.9, True), (0.4, 0.59999, False)],
)
def test_a_node_that_exceeds_its_peak_by_two_tenths_or_more_spikes(ledger, peak, activation, spikes):
    ledger.detect(ulm={"trust": peak})
    events, _ = ledger.detect(ulm={"trust": activation})
    expected = [("ulm_spike", f"trust {peak} -> {activation}", {"old": peak, "new": activation})]
    assert events == (expected if spikes else [])


def test_the_first_sight_of_a_node_sets_its_peak_silently(ledger):
    events, entry = ledger.detect(ulm={"b": 0.2, "c": 0.19, "a": 0.9})
    assert (events, entry["peak_nodes"]) == ([], {"b": 0.2, "c": 0.19, "a": 0.9})


def test_a_peak_of_zero_is_a_peak_and_a_later_spike_exceeds_it(ledger):
    events, entry = ledger.detect(ulm={"a": 0.0})
    assert (events, entry["peak_nodes"]) == ([], {"a": 0.0})
    events, _ = ledger.detect(ulm={"a": 0.3})
    assert [(kind, data) for kind, _, data in events] == [("ulm_spike", {"old": 0.0, "new": 0.3})]


def test_what_a_detection_leaves_out_keeps_the_entrys_value(ledger):
    ledger.detect(archetype="caregiver", egg="cracked")
    _, entry = ledger.detect("bonding", "high", archetype=None, egg=None, turns=9)
    assert (entry["archetype"], entry["egg_status"], entry["turn_count"]) == ("caregiver", "cracked", 9)


def test_a_detection_with_too_many_nodes_is_rejected(make_ledger):
    ledger = make_ledger(nodes_kept=2)
    ledger.detect(ulm={"a": 0.1, "b": 0.1})
    with pytest.raises(Reject, match="at most 2") as rejected:
        ledger.detect(ulm={"c": 0.1})
    assert rejected.value.kind == "too_many_nodes"
    ledger.detect(ulm={"a": 0.2, "b": 0.2})


def test_an_accepted_message_counts_and_the_counter_resets_after_more_than_a_day(ledger):
    start = 1_000_000.0
    counts = []
    for ts in (start, start + 1, start + 86_400, start + 86_400.5, start + 86_401):
        events, entry = ledger.message(ts)
        assert events == []
        counts.append((entry["daily_msg_count"], entry["daily_msg_reset_at"]))
    assert counts == [(1, start), (2, start), (3, start), (1, start + 86_400.5), (2, start + 86_400.5)]


def test_refused_turns_and_later_revisions_are_no_messages(ledger):
    assert ledger.message(1.0, admitted=False) == ([], None)
    assert ledger.message(1.0, revision=1) == ([], None)
    assert ledger.state is None


def test_setting_a_cap_is_an_event_with_old_and_new(ledger):
    ledger.set_cap(5)
    events, entry = ledger.set_cap(10)
    assert events == [("admin_action", "daily_msg_cap 5 -> 10 by op", {"old": 5, "new": 10})]
    assert entry["daily_msg_cap"] == 10


def test_a_note_is_prefixed_with_its_time_in_utc_and_is_an_event(ledger):
    events, entry = ledger.note("call her", ts=NOON)
    assert entry["notes"] == ["2026-01-05 12:04 call her"]
    assert events == [("admin_action", "note added by op", {"old": None, "new": "2026-01-05 12:04 call her"})]


def test_the_last_twenty_notes_are_kept(ledger):
    for n in range(25):
        _, entry = ledger.note(f"note {n}", ts=NOON)
    assert [note.split()[-1] for note in entry["notes"]] == [str(n) for n in range(5, 25)]


def test_a_copy_of_a_command_acts_once(make_ledger):
    ledger = make_ledger(commands_remembered=2)
    ledger.note("a", id="1")
    assert ledger.note("a", id="1") == ([], None)
    ledger.set_cap(5, id="2")
    ledger.set_cap(6, id="3")
    assert ledger.set_cap(5, id="2") == ([], None)
    assert len(ledger.state["commands"]) == 2


def test_other_commands_are_not_the_ledgers(ledger):
    assert ledger.release() == ([], None)
    assert ledger.state is None


def test_something_older_that_arrives_late_does_not_turn_last_updated_back(ledger):
    ledger.detect(ts=2000.0)
    _, entry = ledger.note("late", ts=1000.0)
    assert entry["last_updated"] == 2000.0


def test_a_partial_form_is_filled_with_the_defaults():
    assert read_entry({"user_id": "ann"}) == Bond(user_id="ann").model_dump()
    assert list(read_entry({"phase": "bonding", "user_id": "ann"})) == list(Bond.model_fields)


def test_an_older_form_is_read():
    stored = {
        "user_id": "ann",
        "phase": "bonding",
        "phase_entered_at": 7,
        "last_updated": None,
        "peak_nodes": {"trust": 1},
        "notes": [f"n{n}" for n in range(30)],
        "field_of_long_ago": True,
    }
    entry = read_entry(stored)
    assert entry["phase_entered_at"] == 7.0
    assert entry["last_updated"] == 0.0
    assert entry["peak_nodes"] == {"trust": 1.0}
    assert entry["notes"] == [f"n{n}" for n in range(10, 30)]
    assert "field_of_long_ago" not in entry
    assert len(stored["notes"]) == 30


@pytest.mark.parametrize("stored", [{}, {"user_id": "ann", "phase": 5}, {"user_id": "ann", "daily_msg_cap": "ten"}])
def test_a_form_that_is_wrong_is_refused(stored):
    with pytest.raises(ValueError, match=next(iter(set(stored) - {"user_id"}), "user_id")):
        read_entry(stored)


def test_a_state_of_an_older_form_goes_on(ledger):
    ledger.state = {"entry": {"user_id": "ann", "phase": "bonding", "daily_msg_count": 4}, "commands": []}
    _, entry = ledger.message(5.0)
    assert (entry["daily_msg_count"], entry["phase"], entry["risk_level"]) == (5, "bonding", "low")


NODES = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4)


@given(st.lists(st.tuples(NODES, st.floats(0, 1e9)), max_size=20))
@settings(max_examples=examples(100), deadline=None)
def test_peaks_and_last_updated_never_fall_and_peaks_are_the_highest_seen(make_ledger, detections):
    ledger = make_ledger()
    before, updated, highest = {}, 0.0, {}
    for ulm, ts in detections:
        _, entry = ledger.detect(ulm=ulm, ts=ts)
        for node, activation in ulm.items():
            highest[node] = max(highest.get(node, activation), activation)
        assert all(entry["peak_nodes"][node] >= peak for node, peak in before.items())
        assert entry["peak_nodes"] == highest
        assert entry["last_updated"] >= updated
        before, updated = entry["peak_nodes"], entry["last_updated"]
