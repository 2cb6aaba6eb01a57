"""When a bundle is said: at the first moment at which nothing is open, after the grace, or when it must give way."""

import pytest


def test_a_closed_turn_of_which_nothing_is_open_is_said_at_once(ear, records):
    listener = ear()
    assert listener.feed(records.opened(), records.modulation()) == []
    [bundle] = listener.feed(records.closed())
    assert (bundle["audit_id"], bundle["status"], bundle["supplement"], bundle["incomplete"]) == ("t1", "closed", 0, [])
    assert bundle["ts"] == 110.0


@pytest.mark.parametrize(
    ("before", "last", "missing"),
    [
        (["opened"], "modulation", ["revision 0"]),
        (["modulation"], "opened", ["the opening"]),
        (["opened", "modulation", "call"], "denied", ["the decision on call c1"]),
        (["opened", "modulation", "decision", "result"], "call", ["call c1"]),
        (["opened", "modulation", "call", "decision"], "result", ["the result of call c1"]),
        (["opened", "modulation", "call", "blocked"], "incident", ["incident i1"]),
        (["opened", "modulation", "request"], "reply", ["the reply to request r1"]),
        (["opened", "modulation", "reply"], "request", ["request r1"]),
    ],
)
def test_what_is_open_is_waited_for_and_named_when_it_does_not_come_in_time(ear, records, before, last, missing):
    def record(name):
        if name == "denied":
            return records.decision(decision="denied", reason="invalid_arguments")
        if name == "blocked":
            return records.decision(decision="denied", reason="not_in_allowlist", incident_id="i1")
        return getattr(records, name)()

    facts = [record(name) for name in before]
    patient = ear()
    assert patient.feed(*facts, records.closed()) == []
    [bundle] = patient.feed(record(last))
    assert bundle["incomplete"] == []

    waiting = ear()
    assert waiting.feed(*facts, records.closed(), records.tick(169.999)) == []
    [bundle] = waiting.feed(records.tick(170.0))
    assert (bundle["incomplete"], bundle["status"]) == (missing, "closed")
    assert f"Not seen in time: {missing[0]}" in bundle["explanation"]


def test_a_pending_decision_is_not_the_last_word(ear, records):
    listener = ear()
    pending = records.decision(decision="pending", reason="awaiting_approval")
    assert listener.feed(records.opened(), records.modulation(), records.call(), pending, records.closed()) == []
    [bundle] = listener.feed(records.decision(decision="denied", reason="approval_denied"))
    assert [call["reason"] for call in bundle["blocked"]] == ["approval_denied"]
    assert bundle["tools"] == []


def test_a_record_of_another_turn_ends_the_wait_too_and_its_own_turn_stays_open(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.closed())
    [bundle] = listener.feed(records.opened("t2", ts=200.0))
    assert (bundle["audit_id"], bundle["incomplete"]) == ("t1", ["revision 0"])
    assert list(listener.state["open"]) == ["t2"]


def test_a_refused_turn_is_over_when_it_is_refused(ear, records):
    listener = ear()
    listener.feed(records.opened())
    [bundle] = listener.feed(records.modulation(admitted=False, refusal="rate_limited"))
    assert (bundle["status"], bundle["admitted"], bundle["refusal"]) == ("refused", False, "rate_limited")
    assert "the daily number of messages was used up" in bundle["explanation"]


def test_a_turn_that_never_ends_is_said_when_too_many_others_came_after_it(ear, records):
    listener = ear(audit={"open_turns": 2})
    assert listener.feed(records.opened("t1"), records.opened("t2")) == []
    [bundle] = listener.feed(records.opened("t3"))
    assert (bundle["audit_id"], bundle["status"]) == ("t1", "abandoned")
    assert bundle["incomplete"] == ["revision 0", "the closing"]


def test_what_was_never_opened_gives_way_first_but_not_the_newest(ear, records):
    listener = ear(audit={"open_turns": 2})
    assert listener.feed(records.opened("t1"), records.call(turn="t2")) == []
    [bundle] = listener.feed(records.modulation("t3"))
    assert (bundle["audit_id"], bundle["status"]) == ("t2", "unopened")
    assert list(listener.state["open"]) == ["t1", "t3"]


def test_a_turn_whose_opening_may_only_be_late_does_not_give_way_to_older_ones(ear, records):
    listener = ear(audit={"open_turns": 2})
    [bundle] = listener.feed(records.opened("t1"), records.opened("t2"), records.modulation("t3"))
    assert (bundle["audit_id"], bundle["status"]) == ("t1", "abandoned")
    assert list(listener.state["open"]) == ["t2", "t3"]


def test_time_alone_never_ends_an_open_turn(ear, records):
    listener = ear()
    assert listener.feed(records.opened(), records.modulation(), records.tick(1e9)) == []
    assert len(listener.feed(records.closed(ts=2e9))) == 1


def test_what_comes_after_the_bundle_is_one_supplement_when_it_is_whole(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.closed())
    assert listener.feed(records.call(ts=120.0)) == []
    [first] = listener.feed(records.decision(decision="denied", reason="turn_closed", ts=120.0))
    assert (first["audit_id"], first["status"], first["supplement"], first["ts"]) == ("t1", "supplement", 1, 120.0)
    assert [call["reason"] for call in first["blocked"]] == ["turn_closed"]
    assert (first["opened"], first["parameters"], first["incomplete"]) == (None, None, [])
    [second] = listener.feed(records.result("c9", ts=121.0))
    assert (second["supplement"], second["tools"][0]["call_id"]) == (2, "c9")


def test_a_supplement_waits_as_long_from_its_first_fact(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.closed())
    assert listener.feed(records.call(ts=120.0), records.tick(179.0)) == []
    [late] = listener.feed(records.tick(180.0))
    assert (late["supplement"], late["incomplete"]) == (1, ["the decision on call c1"])


def test_a_second_opening_and_a_second_closing_add_nothing(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.opened(prompt="other words here"))
    assert listener.state["open"]["t1"]["opened"]["prompt_chars"] == 33
    assert len(listener.feed(records.closed())) == 1
    for late in (records.result("c9", ts=120.0), records.incident("i9", ts=121.0)):
        assert listener.feed(records.closed(ts=111.0), records.opened(ts=112.0)) == []
        assert listener.state["open"] == {}
        assert len(listener.feed(late)) == 1


STRICT = {"safety_mode": "strict", "tool_allowlist": ["retrieval"]}


def test_the_headline_gives_the_final_mode(ear, records):
    tightened = records.modulation(revision=1, ts=105.0, parameters=STRICT)
    (bundle,) = ear().feed(records.opened(), records.modulation(), tightened, records.closed())
    assert bundle["headline"] == "balanced, strict from revision 1"
    (plain,) = ear().feed(records.opened(), records.modulation(), records.closed())
    assert plain["headline"] == "balanced"


def test_a_tightening_that_was_known_too_late_corrects_the_headline_and_says_so_first(ear, records):
    listener = ear()
    (bundle,) = listener.feed(records.opened(), records.modulation(), records.closed())
    (late,) = listener.feed(records.modulation(revision=1, ts=111.0, parameters=STRICT))
    assert (bundle["headline"], late["headline"]) == ("balanced", "balanced, strict from revision 1")
    assert late["explanation"].startswith(
        "Correction: this turn was strict in the end (revision 1); its bundle gave its mode as balanced."
    )
    (other,) = listener.feed(records.result("c9", ts=120.0))
    assert other["headline"] == "strict"
    assert not other["explanation"].startswith("Correction")


def test_a_turn_whose_bundle_is_of_an_older_version_is_corrected_without_the_mode_before(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.closed())
    listener.state = {**listener.state, "audited": [entry[:4] for entry in listener.state["audited"]]}
    (late,) = listener.feed(records.modulation(revision=1, ts=111.0, parameters=STRICT))
    assert late["headline"] == "strict from revision 1"
    assert "its bundle was written before that was known" in late["explanation"]


def test_the_closing_of_an_abandoned_turn_is_a_supplement(ear, records):
    listener = ear(audit={"open_turns": 1})
    listener.feed(records.opened("t1"), records.modulation("t1"), records.opened("t2"))
    [late] = listener.feed(records.closed("t1"))
    assert (late["supplement"], late["closed"]["ts"]) == (1, 110.0)


def test_records_that_name_no_turn_leave_nothing_behind(ear, records):
    listener = ear()
    assert listener.feed(records.tick(1.0), records.incident(turn=None)) == []
    assert listener.state is None


HELD = {"admitted": False, "refusal": "held", "review": "required"}


def test_a_held_turn_has_no_bundle_until_it_is_answered_and_names_who_did(ear, records):
    heard = ear()
    assert heard.feed(records.opened(), records.modulation(**HELD), records.tick(900.0)) == []
    denied = {"admitted": False, "refusal": "denied", "review": "suggested"}
    command = records.command("deny_turn", audit_id="t1")
    (bundle,) = heard.feed(command, records.modulation(revision=1, ts=105.0, **denied))
    assert (bundle["status"], bundle["refusal"]) == ("refused", "denied")
    assert bundle["interventions"] == [{"kind": "deny_turn", "by": "op", "ts": 105.0}]
    assert "operator op denied it" in bundle["explanation"]
    assert "a person denied it" in bundle["explanation"]


def test_cleared_risk_is_in_the_bundle_of_every_open_turn_it_was_for(ear, records):
    heard = ear()
    heard.feed(records.opened("t1"), records.modulation("t1"), records.opened("t2"), records.modulation("t2"))
    heard.feed(records.command("clear_risk"), records.command("clear_risk", ts=106.0, audit_id="t2"))
    one, two = heard.feed(records.closed("t1"), records.closed("t2"))
    assert [said["ts"] for said in one["interventions"]] == [105.0]
    assert [said["ts"] for said in two["interventions"]] == [105.0, 106.0]
    assert "operator op cleared its alignment_risk" in one["explanation"]


def test_an_answer_about_a_turn_that_did_not_wait_is_no_fact_of_it(ear, records):
    heard = ear()
    heard.feed(records.opened(), records.modulation(), records.command("approve_turn", audit_id="t1"))
    (bundle,) = heard.feed(records.closed())
    assert bundle["interventions"] == []
