"""The message cap of a bond that was taken over holds for the turns after it (memory, sections 8.1 and 14.16)."""

import pytest


def imported(life, cap, count, reset_at=1000.0, at=1000.0, outcome="taken"):
    said = {"command": "c", "outcome": outcome, "cap": cap, "count": count, "reset_at": reset_at}
    event = {"timestamp": at, "event_type": "admin_action", "detail": "d", "data": {}, "imported": said}
    assert life.feed("bond-events", **event) == []


def test_a_cap_taken_over_with_its_count_refuses_what_is_beyond_it(life):
    imported(life, 40, 39)
    assert life.open("t1", ts=1001.0)["admitted"]
    refused = life.open("t2", ts=1002.0)
    assert (refused["admitted"], refused["refusal"]) == (False, "rate_limited")
    assert life.open("t3", ts=1000.0 + 86_401)["admitted"], "a day after the reset that was taken over, too"


@pytest.mark.parametrize("outcome", ["exists", "unreadable"])
def test_an_import_that_took_nothing_changes_no_cap(life, outcome):
    life.feed("commands", kind="set_cap", by="op", cap=1, ts=900.0)
    imported(life, None, None, None, outcome=outcome)
    assert life.open("t1", ts=1001.0)["admitted"]
    assert not life.open("t2", ts=1002.0)["admitted"]


@pytest.mark.parametrize("set_at", [999.0, 1001.0])
@pytest.mark.parametrize("set_first", [True, False])
def test_of_an_import_and_an_operators_cap_the_later_in_event_time_holds(life, set_at, set_first):
    steps = [
        lambda: life.feed("commands", kind="set_cap", by="op", cap=1, ts=set_at),
        lambda: imported(life, 2, 0, at=1000.0),
    ]
    # The command lies before the import on its topic, or after: what a later command says, the ledger says as well.
    for step in steps if set_first or set_at < 1000.0 else reversed(steps):
        step()
    admitted = [life.open(f"t{number}", ts=2000.0)["admitted"] for number in range(3)]
    assert sum(admitted) == (1 if set_at > 1000.0 else 2)


def test_any_other_event_of_a_bond_makes_no_state(life):
    event = {"timestamp": 1.0, "event_type": "ulm_spike", "detail": "d", "data": {"old": 0, "new": 1}}
    assert life.feed("bond-events", **event) == []
    assert life.state is None
