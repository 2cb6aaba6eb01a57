"""alignment_risk may only tighten, and no revision of an open turn is looser than an earlier one (rules, section 1)."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.policy.parameters import PARAMETERS
from properties import examples

TURNS = ("t1", "t2", "t3")
SAFETY = [name for name, parameter in PARAMETERS.items() if parameter.safety]
RISK_SHAPES = ["safety_mode", "tool_allowlist", "temperature", "top_p", "planner_beam"]
OTHERS = ["stress", "ambiguity", "urgency", "novelty", "trust"]
PROMPTS = ["Tell me of the rivers that flow through Vienna.", "URGENT!!! Fix it right now!", "Invent a story, what if?"]

level = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.31, 0.7, 0.9, 1.0]))
times = st.one_of(st.floats(990, 1020), st.sampled_from([1000.0, 1000.5, 5000.0, 1.0]))
ttl = st.sampled_from([0, 1, 800, 5000, 10**9])
source = st.sampled_from(["a", "b", "guardian", "heuristics", "capped"])
named = st.sampled_from([None, *TURNS, "never"])
risk = st.tuples(st.just("alignment_risk"), level, times, ttl, source, named)
other = st.tuples(st.sampled_from(OTHERS), level, times, ttl, source, named)
inline = st.dictionaries(st.sampled_from(["alignment_risk", *OTHERS]), level, max_size=2)
turn = st.sampled_from(TURNS)
STEPS = {
    "signal": st.one_of(other, other, risk),
    "open": st.tuples(turn, inline, times, st.sampled_from(PROMPTS)),
    "close": st.tuples(turn, times),
    "block": st.tuples(turn, times),
    "veto": st.tuples(turn, times),
    "flag": st.tuples(turn, times, level),
    "fail": st.tuples(turn, times),
    "style": st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(0, 0.2), st.booleans()),
    "tick": st.tuples(times),
}
step = st.one_of([st.tuples(st.just(kind), values) for kind, values in STEPS.items()])
history = st.lists(step, max_size=14)
LIMITS = {
    "homeostat": {
        "budget": {"signals": 2, "sources": 2, "window_ms": 5000},
        "caps": {"capped": 0.5},
        "memory": {"signals_per_name": 2, "one_turn_signals": 2, "risk_signals": 2, "open_turns": 2, "suppressed": 1},
    },
    "signals": [{"name": "alignment_risk", "cooldown_ms": 400}],
}
"""Every limit small, so that short histories meet all of them."""
POLICIES = [
    {},
    LIMITS,
    {**LIMITS, "flags": {"STRICT_DEFAULT": True}},
    {**LIMITS, "review": {"hold_at": 0.8}},
]


def apply(life, kind: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """One step; a turn is opened once, under a time of its own."""
    if kind == "signal":
        name, level, ts, ttl_ms, source, audit_id = values
        return life.signal(name, level, ts=ts, ttl_ms=ttl_ms, source=source, audit_id=audit_id)
    if kind == "open":
        audit_id, signals, ts, prompt = values
        if audit_id in life.opened:
            return []
        life.opened.add(audit_id)
        return life.opening(audit_id, ts, signals, prompt=prompt)
    if kind == "style":
        life.style(*values)
        return []
    if kind == "tick":
        return life.tick(*values)
    audit_id, ts, *more = values
    if kind == "close":
        return life.feed("interactions", kind="closed", audit_id=audit_id, response="ok", ts=ts)
    if kind == "fail":
        return life.feed(
            "tool-results", call_id="c", audit_id=audit_id, tool="browser", status="error", duration_ms=1.0,
            args_summary="", ts=ts,
        )  # fmt: skip
    incident = {"block": "tool_blocked", "veto": "guardian_veto", "flag": "moderation"}[kind]
    return life.feed(
        "incidents", incident_id=f"x/{life.count}", kind=incident, audit_id=audit_id, attempted=None, reason="r",
        params_snapshot={"allowlist": [], "mode": "balanced"}, prompt_hmac=None, policy="0" * 64, ts=ts,
        **({"score": more[0]} if more else {}),
    )  # fmt: skip


def in_force(life, steps) -> list[dict[str, dict[str, Any]]]:
    """The parameters of every turn ever opened, after each step; None among the steps: nothing."""
    life.opened = set()
    latest: dict[str, dict[str, Any]] = {}
    states = []
    for one in steps:
        for record in apply(life, *one) if one is not None else []:
            latest[record["audit_id"]] = record["parameters"]
        states.append(dict(latest))
    return states


def looser(before: dict[str, Any], after: dict[str, Any], names: list[str]) -> list[str]:
    return [name for name in names if PARAMETERS[name].loosens(before[name], after[name])]


@pytest.mark.parametrize("number", range(len(POLICIES)))
def test_one_more_alignment_risk_of_any_kind_and_arrival_never_loosens_a_later_revision_or_turn(new_life, number):
    @settings(max_examples=examples(30), deadline=None)
    @given(history, risk, st.integers(0, 14))
    def check(steps, extra, place):
        place = min(place, len(steps))
        without = in_force(new_life(POLICIES[number]), [*steps[:place], None, *steps[place:]])
        with_it = in_force(new_life(POLICIES[number]), [*steps[:place], ("signal", extra), *steps[place:]])
        for calm, risky in zip(without, with_it, strict=True):
            assert calm.keys() == risky.keys()
            for audit_id, parameters in calm.items():
                assert looser(parameters, risky[audit_id], RISK_SHAPES) == []

    check()


def test_an_alignment_risk_that_a_turn_brings_never_loosens_it_or_a_later_one(new_life):
    @settings(max_examples=examples(30), deadline=None)
    @given(level, st.sampled_from([0, 800, 10**6]), st.sampled_from(PROMPTS), inline, history)
    def check(level, ttl_ms, prompt, brought, later):
        states = []
        brought = [{"name": name, "level": one} for name, one in brought.items() if name != "alignment_risk"]
        for more in ([], [{"name": "alignment_risk", "level": level, "ttl_ms": ttl_ms}]):
            life = new_life(LIMITS)
            first = life.open("t0", ts=995.0, prompt=prompt, signals=[*brought, *more] or None)
            states.append([{"t0": first["parameters"]}, *in_force(life, later)])
        for calm, risky in zip(*states, strict=True):
            for audit_id, parameters in calm.items():
                assert looser(parameters, risky[audit_id], RISK_SHAPES) == []

    check()


@pytest.mark.parametrize("number", range(len(POLICIES)))
def test_no_revision_of_an_open_turn_is_looser_than_an_earlier_one_whatever_comes(new_life, number):
    commands = st.tuples(st.sampled_from(["approve", "deny", "set_cap", "release_lock"]), turn, times)

    @settings(max_examples=examples(30), deadline=None)
    @given(st.lists(st.one_of(step, step, commands.map(lambda one: ("command", one))), max_size=18))
    def check(steps):
        life = new_life(POLICIES[number])
        life.opened = set()
        records: dict[str, list[dict[str, Any]]] = {}
        for kind, values in steps:
            for record in command(life, *values) if kind == "command" else apply(life, kind, values):
                records.setdefault(record["audit_id"], []).append(record)
        for of_turn in records.values():
            assert [record["revision"] for record in of_turn] == list(range(len(of_turn)))
            risks = [one["level"] for record in of_turn for one in record["signals"] if counts(one)]
            assert risks == sorted(risks), "within a turn alignment_risk never counts for less"
            for before, after in itertools.pairwise(of_turn):
                assert looser(before["parameters"], after["parameters"], SAFETY) == []
                assert after["mode"] == after["parameters"]["safety_mode"] == after["prompt_style"]
                assert not (before["refusal"] in ("denied", "hold_expired", "rate_limited") and after["admitted"])

    check()


def counts(signal):
    return signal["name"] == "alignment_risk" and signal["fate"] in ("used", "capped", "clamped")


def command(life, kind, audit_id, ts):
    if kind in ("approve", "deny"):
        waits = life.state is not None and life.state["turns"].get(audit_id, {}).get("refusal") == "held"
        return getattr(life, kind)(audit_id, ts=ts) if waits else []
    more = {"cap": 3} if kind == "set_cap" else {}
    return life.feed("commands", kind=kind, by="op", ts=ts, **more)


def test_a_later_low_reading_of_any_source_cancels_nothing(life, fates):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=60_000)
    life.signal("alignment_risk", 0.0, ts=1001.0, ttl_ms=60_000)
    life.signal("alignment_risk", 0.0, ts=1002.0, ttl_ms=60_000, source="other")
    record = life.open(ts=1003.0, signals={"alignment_risk": 0.0})
    assert (record["mode"], record["parameters"]["tool_allowlist"]) == ("strict", ["retrieval"])
    assert fates(record) == [("alignment_risk", 0.9, "used")]
    assert life.signal("alignment_risk", 0.0, ts=1004.0, audit_id="t1", ttl_ms=60_000) == []


def test_a_vetoed_open_turn_stays_strict_whatever_comes_later(life):
    life.open()
    life.block(kind="guardian_veto")
    for name in ("alignment_risk", "stress", "novelty", "trust"):
        for record in life.signal(name, 0.0 if name != "novelty" else 1.0, ts=1010.0, audit_id="t1", ttl_ms=0):
            assert (record["mode"], record["parameters"]["tool_allowlist"]) == ("strict", ["retrieval"])


def test_risk_ends_by_its_ttl_and_the_next_lower_one_counts(life, fates):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=1000)
    life.signal("alignment_risk", 0.2, ts=1000.0, ttl_ms=9000)
    assert life.open("t1", ts=1001.0)["mode"] == "strict"
    record = life.open("t2", ts=1001.5)
    assert record["mode"] == "balanced"
    assert set(fates(record)) == {("alignment_risk", 0.2, "used"), ("alignment_risk", 0.9, "expired")}


def test_a_turn_keeps_a_risk_that_ends_while_it_is_open(life):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=1000)
    life.open("t1", ts=1000.0)
    assert life.open("t2", ts=2000.0)["mode"] == "balanced"
    (record,) = life.signal("novelty", 1.0, ts=2001.0, audit_id="t1", ttl_ms=0)
    assert record["mode"] == "strict"


def test_a_flood_of_one_source_starves_no_other_and_drops_no_risk(life, fates):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=10**8, source="quiet")
    life.signal("alignment_risk", 0.8, ts=1000.0, ttl_ms=0, source="quiet", audit_id="t1")
    for number in range(400):
        life.signal("alignment_risk", number / 1000, ts=1000.0, ttl_ms=10**9, source=f"loud{number}")
        life.signal("alignment_risk", 0.1, ts=1000.0, ttl_ms=0, source="loud", audit_id=f"never{number}")
    assert len(life.state["risk"]) <= 102
    assert len(life.state["risk_waiting"]) <= 64
    record = life.open(ts=1001.0)
    assert [one for one in fates(record) if one[2] == "used"] == [("alignment_risk", 0.9, "used")]
    life.signal("alignment_risk", 0.95, ts=1001.0, ttl_ms=10**8, source="loud")
    assert ("alignment_risk", 0.95, "used") in fates(life.open("t2", ts=1002.0))


def test_the_turn_that_a_displaced_risk_named_is_strict_all_the_same(life):
    life.signal("alignment_risk", 0.9, ttl_ms=0, audit_id="t1")
    for number in range(100):
        life.signal("alignment_risk", 0.1, ttl_ms=0, audit_id=f"never{number}")
    assert life.open("t1")["mode"] == "strict"
    assert life.open("t2", ts=1000.0 + 90_000)["mode"] == "balanced", "what waits, waits for a day"


def test_a_risk_over_the_budget_of_its_source_counts_and_is_listed_once_as_used(new_life, fates):
    life = new_life({"homeostat": {"budget": {"signals": 1}}})
    life.signal("alignment_risk", 0.1, ttl_ms=5000)
    life.signal("alignment_risk", 0.9, ttl_ms=5000)
    life.signal("alignment_risk", 0.2, ttl_ms=5000)
    assert fates(life.open()) == [("alignment_risk", 0.9, "used"), ("alignment_risk", 0.2, "budget")]


def test_risk_spends_no_budget_that_other_signals_need(new_life, fates):
    life = new_life({"homeostat": {"budget": {"signals": 1}}})
    life.signal("alignment_risk", 0.1)
    life.signal("stress", 0.9)
    assert ("stress", 0.9, "used") in fates(life.open())


def test_a_turn_that_brings_risk_alone_is_no_looser_than_its_wording_has_it(life, fates):
    urgent = "URGENT!!! The production is down, fix it immediately, right now!"
    assert life.open("t1", prompt=urgent)["parameters"]["tool_allowlist"] == ["retrieval"]
    record = life.open("t2", ts=2000.0, prompt=urgent, signals={"alignment_risk": 0.0})
    assert record["parameters"]["tool_allowlist"] == ["retrieval"]
    assert record["lineage"]["tool_allowlist"][-1]["by"] == "heuristics"
    plain = life.open("t3", ts=3000.0, prompt="Why?", signals={"alignment_risk": 0.7})
    assert [one for one in fates(plain) if one[2] != "expired"] == [("alignment_risk", 0.7, "used")]
    assert plain["parameters"]["retrieval_k"] == 6


def test_an_operator_clears_the_risk_of_the_identity_and_its_open_turns_are_settled_again(life, fates):
    life.signal("alignment_risk", 0.9, ttl_ms=10**7)
    life.signal("alignment_risk", 0.9, ttl_ms=0, audit_id="t3")
    assert life.open("t1")["mode"] == "strict"
    (record,) = life.clear(ts=1010.0)
    assert (record["audit_id"], record["revision"], record["mode"], record["ts"]) == ("t1", 1, "balanced", 1010.0)
    assert fates(record) == [("alignment_risk", 0.9, "cleared")]
    assert life.open("t2", ts=1011.0)["mode"] == "balanced"
    assert life.open("t3", ts=1012.0)["mode"] == "balanced"
    assert life.clear(ts=1013.0) == []


def test_an_operator_clears_the_risk_of_one_turn_and_of_no_other(life):
    life.signal("alignment_risk", 0.9, ttl_ms=10**7)
    life.open("t1")
    life.open("t2")
    (record,) = life.clear(audit_id="t1")
    assert (record["audit_id"], record["mode"]) == ("t1", "balanced")
    (record,) = life.signal("novelty", 0.5, ts=1020.0, audit_id="t1")
    assert record["mode"] == "balanced", "what was cleared does not come back by the way"
    assert life.open("t3", ts=1021.0)["mode"] == "strict"
    (record,) = life.signal("alignment_risk", 0.9, ts=1022.0, audit_id="t1", ttl_ms=0)
    assert record["mode"] == "strict"


def test_clearing_risk_does_not_undo_a_blocked_tool(life):
    life.open(signals={"alignment_risk": 0.9})
    life.block()
    (record,) = life.clear()
    assert (record["mode"], record["parameters"]["tool_allowlist"]) == ("strict", ["retrieval"])


def test_clearing_the_risk_of_a_turn_that_is_not_open_is_rejected_by_its_name(life, rejected):
    error = rejected(lambda: life.clear(audit_id="t9"))
    assert error.kind == "unknown_turn"
    assert "'t9'" in str(error)


def test_a_state_from_before_risk_had_its_own_memory_loses_none_of_it(life, fates):
    life.open("t0")
    old = {name: value for name, value in life.state.items() if not name.startswith("risk") and name != "clocks"}
    held = ["alignment_risk", 0.9, 10**6, "probe", None, 1000.0, "used", False]
    waiting = ["alignment_risk", 0.8, 0, "probe", "t9", 1000.0, "used", False]
    life.state = {**old, "active": {"alignment_risk": [held]}, "one_turn": [waiting]}
    assert life.open("t1", ts=1001.0)["signals"][0]["level"] == 0.9
    assert ("alignment_risk", 0.8, "used") in fates(life.open("t9", ts=9000.0))
