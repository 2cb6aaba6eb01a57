"""What the timekeeper knows: which deadlines wait, which have passed."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.deadlines import AGAIN_S, Deadlines, Waits
from endocrine.schemas.commands import Tick
from properties import examples

WAITS = Waits(modulation_s=30, decision_s=15, result_s=60, reply_grace_s=5, longest_s=900)
TS, WALL = 1000.0, 5000.0
TURN = {"audit_id": "t", "identity": "ann", "ts": TS}
OPENED = {"kind": "opened", "respond": True, **TURN}
CLOSED = {"kind": "closed", **TURN}
INCIDENT = {"incident_id": "i", **TURN}
CALL = {"call_id": "c", **TURN}
HELD = {"refusal": "held", "expires": TS + 900, **TURN}


def decision(what, **other):
    return {"call_id": "c", **TURN, "decision": what, **other}


SUBJECTS = {
    "turn": [("interactions", OPENED)],
    "hold": [("modulations", HELD)],
    "revision": [("interactions", OPENED), ("modulations", TURN), ("incidents", INCIDENT)],
    "call": [("tool-calls", CALL)],
    "approval": [("tool-decisions", decision("pending", expires=TS + 900))],
    "result": [("tool-calls", CALL), ("tool-decisions", decision("allowed"))],
    "reply": [("model-requests", {"request_id": "r", "deadline_ms": 20_000, **TURN})],
}
WAIT_S = {"hold": 900, "turn": 30, "revision": 30, "call": 15, "approval": 900, "result": 60, "reply": 25}
SETTLED_BY = {
    "hold": ("modulations", {**TURN, "refusal": None}),
    "turn": ("modulations", TURN),
    "revision": ("interactions", CLOSED),
    "call": ("tool-decisions", decision("denied")),
    "approval": ("tool-decisions", decision("denied")),
    "result": ("tool-results", CALL),
    "reply": ("model-replies", {"request_id": "r", **TURN}),
}


def seen(*records):
    deadlines = Deadlines(lambda value, appended: WAITS)
    for topic, value in records:
        deadlines.observe(topic, value, WALL)
    return deadlines


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_deadline_that_nothing_settles_ticks_when_the_wall_clock_passes_it_and_a_few_times_more(kind):
    deadlines = seen(*SUBJECTS[kind])
    wait = WAIT_S[kind]
    assert list(deadlines.expired(WALL + wait - 0.001)) == []
    (first,) = deadlines.expired(WALL + wait)
    assert (first.identity, first.ts) == ("ann", TS + wait)
    Tick(kind="tick", identity=first.identity, by="timekeeper", ts=first.ts, id=first.id)
    later = list(deadlines.expired(WALL + wait + 1e6))
    assert [tick.ts for tick in later] == [TS + wait + after for after in AGAIN_S[1:]]
    assert len({first.id, *(tick.id for tick in later)}) == len(AGAIN_S)
    assert deadlines.next_wall is None


@pytest.mark.parametrize("kind", SUBJECTS)
def test_what_was_settled_in_time_never_ticks(kind):
    deadlines = seen(*SUBJECTS[kind], SETTLED_BY[kind])
    assert list(deadlines.expired(WALL + 1e6)) == []


@pytest.mark.parametrize("kind", ["call", "approval", "result"])
def test_a_conflict_under_a_calls_id_settles_nothing(kind):
    conflict = ("tool-decisions", decision("denied", reason="conflicting_call"))
    assert (
        list(seen(*SUBJECTS[kind], conflict).expired(WALL + 1e6))
        == list(seen(*SUBJECTS[kind]).expired(WALL + 1e6))
        != []
    )


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_turn_that_closed_never_ticks_in_whatever_order_it_is_seen(kind):
    for order in itertools.permutations([*SUBJECTS[kind], ("interactions", CLOSED)]):
        assert list(seen(*order).expired(WALL + 1e6)) == []


@pytest.mark.parametrize("kind", ["turn", "call", "approval", "result", "reply"])
def test_what_was_settled_before_it_was_seen_never_ticks(kind):
    deadlines = seen(SETTLED_BY[kind], *SUBJECTS[kind])
    assert [tick for tick in deadlines.expired(WALL + 1e6) if f"/{kind}/" in tick.id] == []


@pytest.mark.parametrize("kind", SUBJECTS)
def test_two_timekeepers_say_the_same_ticks(kind):
    one, other = seen(*SUBJECTS[kind]), Deadlines(lambda value, appended: WAITS)
    for topic, value in SUBJECTS[kind] * 2:
        other.observe(topic, value, WALL + 7.5)  # read later, and read twice
    assert list(one.expired(WALL + 1e6)) == list(other.expired(WALL + 1e6))


def test_a_turn_that_an_application_answers_itself_has_no_deadline_of_ours():
    assert list(seen(("interactions", {**OPENED, "respond": False}), ("incidents", INCIDENT)).expired(WALL + 1e6)) == []


def test_a_late_event_is_due_as_long_after_its_append_as_its_deadline_lies_ahead():
    deadlines = Deadlines(lambda value, appended: WAITS)
    deadlines.observe("tool-decisions", decision("pending", expires=TS - 5), WALL)
    assert len(list(deadlines.expired(WALL))) == 1


def test_memory_is_bounded_and_what_is_full_says_so():
    deadlines = Deadlines(lambda value, appended: WAITS, most=10)
    for n in range(10):
        assert not deadlines.full
        deadlines.observe("tool-calls", {**CALL, "call_id": str(n)}, WALL)
    assert deadlines.full
    list(deadlines.expired(WALL + 1e6))
    assert not deadlines.full


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from([record for records in SUBJECTS.values() for record in records]
                                + list(SETTLED_BY.values()) + [("interactions", CLOSED)]), max_size=25))  # fmt: skip
def test_ticks_end_whatever_comes(records):
    deadlines = seen(*records)
    ticks = list(deadlines.expired(WALL + 1e9))
    assert len({tick.id for tick in ticks}) == len(ticks) <= len(AGAIN_S) * len(SUBJECTS)
    assert list(deadlines.expired(WALL + 2e9)) == []
    assert deadlines.next_wall is None
