"""Turns that wait for a person (rules, section 2, `review`)."""

import pytest

from endocrine.agents.modulation.signal_report import explain

HOLD = {"review": {"hold_at": 0.8}}


def status(record):
    return record["admitted"], record["refusal"], record["review"]


@pytest.fixture
def careful(new_life):
    return new_life(HOLD)


def test_nothing_is_held_as_shipped_and_a_high_risk_is_for_a_person_to_look_at(life):
    assert status(life.open(signals={"alignment_risk": 1.0})) == (True, None, "suggested")
    assert status(life.open("t2", ts=2000.0, signals={"alignment_risk": 0.89})) == (True, None, "none")


@pytest.mark.parametrize(("level", "held"), [(0.79, False), (0.8, True), (1.0, True)])
def test_a_turn_at_or_above_the_level_is_held_and_has_no_functions(careful, level, held):
    record = careful.open(signals={"alignment_risk": level})
    assert status(record) == ((False, "held", "required") if held else (True, None, "none"))
    assert (record["functions"] == []) is held
    assert record.get("expires") == (1900.0 if held else None)


def test_an_approved_turn_goes_on_strict_in_a_new_revision(new_life):
    life = new_life({**HOLD, "maps": {"alignment_risk": {"temperature": "0.5"}}})
    assert life.open(signals={"alignment_risk": 0.85})["mode"] == "balanced"
    (record,) = life.approve(ts=1010.0)
    assert (record["revision"], record["mode"], *status(record)) == (1, "strict", True, None, "none")
    assert record["lineage"]["safety_mode"][-1] == {"step": "approve", "by": "op", "from": "balanced", "to": "strict"}
    assert [one["name"] for one in record["functions"]] == ["retrieve_knowledge"]
    assert "expires" not in record


def test_a_denied_turn_stays_refused(careful):
    careful.open(signals={"alignment_risk": 0.9})
    (record,) = careful.deny()
    assert status(record) == (False, "denied", "suggested")
    (record,) = careful.signal("alignment_risk", 1.0, ts=1011.0, audit_id="t1")
    assert status(record) == (False, "denied", "suggested")
    assert careful.tick(9000.0) == []


LATER = {
    "tick": lambda life, ts: life.tick(ts),
    "signal": lambda life, ts: life.signal("trust", 0.1, ts=ts),
    "opening": lambda life, ts: [life.open("t2", ts=ts)],
    "note": lambda life, ts: life.feed("commands", kind="add_note", by="op", text="x", ts=ts),
    "too late an approval": lambda life, ts: life.approve(ts=ts),
    "too late a denial": lambda life, ts: life.deny(ts=ts),
}


@pytest.mark.parametrize("later", LATER)
def test_silence_is_a_refusal_of_its_own_at_the_first_later_record_and_never_a_denial(careful, later):
    careful.open(signals={"alignment_risk": 0.9})
    assert careful.tick(1899.9) == []
    # a record of the turn's identity, whatever it says, ends the waiting that its time has reached
    state = careful.state
    value = {"kind": "opened"} if later == "opening" else {}
    if value:
        outputs = careful.feed(
            "interactions", kind="opened", audit_id="t2", session_id="s", turn=1, client="c", ts=1900.0,
            prompt="Tell me of the rivers that flow through Vienna.",
        )  # fmt: skip
    else:
        outputs = LATER[later](careful, 1900.0)
    assert (outputs[0]["audit_id"], *status(outputs[0])) == ("t1", False, "hold_expired", "suggested")
    assert outputs[0]["ts"] == 1900.0
    assert careful.state != state
    assert [one["audit_id"] for one in outputs[1:]] == (["t2"] if later == "opening" else [])


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (lambda life: None, "not an open turn"),
        (lambda life: life.open(), "is admitted"),
        (lambda life: (life.open(signals={"alignment_risk": 0.9}), life.approve()), "is admitted"),
        (lambda life: (life.open(signals={"alignment_risk": 0.9}), life.deny()), "refused (denied)"),
        (lambda life: (life.open(signals={"alignment_risk": 0.9}), life.tick(5000.0)), "refused (hold_expired)"),
        (lambda life: (life.open(), life.close()), "is closed"),
        (lambda life: (life.cap(1), life.open("t0"), life.open("t1")), "refused (rate_limited)"),
    ],
)
@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_an_answer_about_a_turn_that_does_not_wait_is_rejected_by_its_name(careful, rejected, before, why, answer):
    before(careful)
    state = careful.state
    error = rejected(lambda: getattr(careful, answer)(ts=1011.0))
    assert error.kind == "not_held"
    assert "'t1'" in str(error)
    assert why in str(error)
    assert careful.state == state


def test_a_turn_whose_risk_rises_while_it_is_open_is_held_then(careful):
    assert careful.open()["admitted"]
    (record,) = careful.signal("alignment_risk", 0.9, ts=1005.0, audit_id="t1")
    assert (*status(record), record["expires"]) == (False, "held", "required", 1905.0)
    (record,) = careful.approve(ts=1006.0)
    assert record["admitted"]
    assert careful.signal("alignment_risk", 0.9, ts=1007.0, audit_id="t1") == [], "that was approved"
    (record,) = careful.signal("alignment_risk", 0.95, ts=1008.0, audit_id="t1")
    assert status(record) == (False, "held", "required")


def test_cleared_risk_does_not_answer_for_the_person(careful):
    careful.open(signals={"alignment_risk": 0.9})
    (record,) = careful.clear()
    assert status(record) == (False, "held", "required")
    (record,) = careful.approve(ts=1011.0)
    assert (record["mode"], record["admitted"]) == ("strict", True)


def test_the_waiting_is_counted_on_a_clock_that_never_goes_back(careful):
    careful.open("t0", ts=5000.0)
    assert careful.open("t1", ts=1000.0, signals={"alignment_risk": 0.9})["expires"] == 5900.0


def test_a_held_turn_is_a_message_of_the_day_once_it_is_approved(careful):
    careful.cap(2)
    careful.open("t1", signals={"alignment_risk": 0.9})
    assert careful.state["cap"][1] == 0
    careful.approve()
    assert careful.state["cap"][1] == 1
    careful.open("t2", ts=1020.0, signals={"alignment_risk": 0.9})
    careful.deny("t2", ts=1021.0)
    assert careful.state["cap"][1] == 1
    assert careful.open("t3", ts=1030.0)["admitted"]
    assert careful.open("t4", ts=1030.0)["refusal"] == "rate_limited"


def test_the_explanation_says_that_a_turn_waits_and_what_came_of_it(careful):
    records = [careful.open(signals={"alignment_risk": 0.9}), *careful.deny()]
    lines = explain("t1", records)
    assert "revision 0: the turn is held, it waits for a person until 1970-01-01 00:31:40.000 UTC" in lines
    assert "revision 1: the turn is refused, denied" in lines


def test_functions_are_the_allowed_tools_as_a_model_takes_them(life):
    record = life.open()
    assert [one["name"] for one in record["functions"]] == ["retrieve_knowledge", "open_url"]
    tools = life.policy.document.tools.root
    assert record["functions"][0] == {
        "name": "retrieve_knowledge",
        "description": tools["retrieval"].description,
        "parameters": tools["retrieval"].arguments,
    }
    (record,) = life.block()
    assert [one["name"] for one in record["functions"]] == ["retrieve_knowledge"]


def test_a_refused_turn_has_no_functions(life):
    life.cap(1)
    life.open("t0")
    assert life.open("t1")["functions"] == []
