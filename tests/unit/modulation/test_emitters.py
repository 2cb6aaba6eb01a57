"""Events that raise signals by themselves, as the policy declares them."""

import pytest

from endocrine.agents.modulation.signal_report import explain
from endocrine.agents.policy.errors import PolicyError


def incident(life, kind, audit_id="t1", ts=1001.0, **more):
    return life.feed(
        "incidents",
        incident_id=f"x/{kind}/{ts}",
        kind=kind,
        audit_id=audit_id,
        attempted=None,
        reason="r",
        params_snapshot={"allowlist": [], "mode": "balanced"},
        prompt_hmac=None,
        policy="0" * 64,
        ts=ts,
        **more,
    )


def result(life, status, audit_id="t1", ts=1001.0):
    return life.feed(
        "tool-results",
        call_id="c",
        audit_id=audit_id,
        tool="browser",
        status=status,
        duration_ms=1.0,
        args_summary="",
        ts=ts,
    )


def raised(record):
    return [(one["name"], one["level"], one["source"], one["fate"]) for one in record["signals"]]


def test_a_guardian_veto_is_alignment_risk_for_that_turn_and_a_new_revision(life):
    life.open()
    [record] = incident(life, "guardian_veto")
    assert (record["revision"], record["mode"]) == (1, "strict")
    assert raised(record) == [("alignment_risk", 0.9, "guardian", "used")]
    assert life.open("t2", ts=1001.5)["mode"] == "balanced"


def test_a_veto_is_a_new_revision_even_where_nothing_changes(life):
    life.open(signals={"alignment_risk": 1.0})
    [record] = incident(life, "guardian_veto")
    [again] = incident(life, "guardian_veto", ts=1002.0)
    assert (record["revision"], again["revision"]) == (1, 2)


def test_a_veto_is_a_new_revision_even_where_the_homeostat_refuses_its_signal(new_life):
    life = new_life({"homeostat": {"budget": {"signals": 1}}})
    life.open()
    incident(life, "guardian_veto")
    [record] = incident(life, "guardian_veto", ts=1002.0)
    assert record["revision"] == 2
    assert ("alignment_risk", 0.9, "guardian", "budget") in raised(life.open("t2", ts=1003.0))


def test_a_veto_of_a_turn_that_is_not_open_is_no_revision(life):
    assert incident(life, "guardian_veto", audit_id="t9") == []
    life.open()
    life.close()
    assert incident(life, "guardian_veto") == []


def test_a_moderation_flag_is_alignment_risk_at_its_score_and_lasts_for_the_next_turn(life):
    life.open()
    [record] = incident(life, "moderation", score=0.55)
    assert raised(record) == [("alignment_risk", 0.55, "moderation", "used")]
    assert raised(life.open("t2", ts=1030.0)) == [("alignment_risk", 0.55, "moderation", "used")]


def test_a_flag_without_a_score_counts_as_the_highest(life):
    life.open()
    assert raised(incident(life, "moderation")[0]) == [("alignment_risk", 1.0, "moderation", "used")]


def test_a_flag_of_no_turn_is_one_of_a_feedback_note_and_raises_nothing(life):
    assert incident(life, "moderation", audit_id=None, score=0.4) == []
    assert raised(life.open(ts=1002.0)) == []


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_a_tool_failure_is_stress(life, status):
    life.open()
    [record] = result(life, status)
    assert raised(record) == [("stress", 0.4, "tools", "used")]


def test_a_tool_that_works_raises_nothing(life):
    life.open()
    state = life.state
    assert result(life, "ok") == []
    assert life.state == state


def test_a_blocked_tool_is_no_signal(life):
    life.open()
    [record] = life.block()
    assert raised(record) == []


def used(life, tokens, audit_id, ts):
    usage = {"input_tokens": tokens, "output_tokens": 0}
    assert life.feed("interactions", kind="closed", audit_id=audit_id, response="ok", usage=usage, ts=ts) == []


def test_a_turn_that_opens_near_the_token_cap_is_urgent_until_the_window_ends(new_life):
    life = new_life({"budget": {"limit": 1000, "soft_share": 0.8, "window_s": 100.0}})
    life.open("t1", ts=1000.0)
    used(life, 799, "t1", 1000.0)
    assert raised(life.open("t2", ts=1001.0)) == []
    used(life, 1, "t2", 1002.0)
    assert raised(life.open("t3", ts=1003.0)) == [("urgency", 0.4, "budget", "used")]
    assert raised(life.open("t4", ts=1100.0)) == [("urgency", 0.4, "budget", "other_turn")]


def test_an_emitter_passes_the_caps_and_cooldowns_of_any_signal(new_life):
    life = new_life({"homeostat": {"caps": {"tools": 0.2}}})
    life.open()
    [record] = result(life, "error", ts=1001.0)
    assert raised(record) == [("stress", 0.2, "tools", "capped")]
    assert result(life, "error", ts=1001.5) == []
    assert ("stress", 0.4, "tools", "cooldown") in raised(life.open("t2", ts=1002.0))


def test_which_event_raises_what_is_the_policys_to_say(new_life):
    emitters = [{"event": "tool_failure", "signal": "ambiguity", "level": 1.0, "ttl_ms": 0, "source": "me"}]
    life = new_life({"homeostat": {"emitters": emitters}})
    life.open()
    assert raised(result(life, "error")[0]) == [("ambiguity", 1.0, "me", "used")]
    assert incident(life, "moderation", score=1.0) == []


@pytest.mark.parametrize(
    "change", [{"event": "rain"}, {"signal": "stabilize"}, {"level": 1.5}, {"level": "score"}, {"ttl_ms": -1}]
)
def test_an_emitter_with_a_mistake_is_refused(policy_with, change):
    emitter = {"event": "tool_failure", "signal": "stress", "level": 0.4, "ttl_ms": 0, "source": "tools"} | change
    with pytest.raises(PolicyError, match=r"homeostat\.emitters"):
        policy_with({"homeostat": {"emitters": [emitter]}})


def test_every_emission_and_every_refusal_is_explained(new_life):
    life = new_life({"homeostat": {"caps": {"tools": 0.2}}})
    records = [life.open("t1")]
    records += result(life, "error", ts=1001.0)
    result(life, "error", ts=1001.5)
    records.append(life.open("t2", ts=1002.0))
    first, second = explain("t1", records), explain("t2", records)
    assert "revision 1: stress 0.2 from tools at 1970-01-01 00:16:41.000 UTC: used, at the cap of its source" in first
    assert any(line.startswith("revision 1: temperature 0.6 -> ") and "stress (guard)" in line for line in first)
    asked = "revision 0: stress 0.4 from tools at 1970-01-01 00:16:41.500 UTC"
    assert f"{asked}: not used, within the cooldown of its name" in second
