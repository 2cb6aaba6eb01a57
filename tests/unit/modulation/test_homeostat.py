"""The homeostat and activation, rule by rule (rules, section 1)."""

import itertools

import pytest


def test_a_level_outside_0_to_1_is_clamped_and_says_so(life, fates):
    record = life.open(signals={"novelty": 1.7, "stress": -3.0})
    assert fates(record) == [("stress", 0.0, "clamped"), ("novelty", 1.0, "clamped")]


@pytest.mark.parametrize(("after", "fate"), [(0.8, "used"), (0.799, "cooldown"), (0.001, "cooldown")])
def test_a_signal_within_the_cooldown_of_the_last_accepted_one_is_suppressed_and_shown(life, fates, after, fate):
    life.signal("stress", 0.2, ts=1700000000.0, ttl_ms=5000)
    life.signal("stress", 0.9, ts=1700000000.0 + after, ttl_ms=5000)
    listed = fates(life.open(ts=1700000001.0))
    assert ("stress", 0.9, fate) in listed
    assert (("stress", 0.2, "used") in listed) == (fate == "cooldown")


def test_a_suppressed_signal_starts_no_cooldown_and_is_shown_once(life, fates):
    life.signal("stress", 0.2, ts=1000.0, ttl_ms=9000)
    life.signal("stress", 0.3, ts=1000.5, ttl_ms=9000)
    life.signal("stress", 0.4, ts=1000.9, ttl_ms=9000)
    assert fates(life.open(ts=1001.0)) == [("stress", 0.4, "used"), ("stress", 0.3, "cooldown")]
    assert fates(life.open("t2", ts=1001.5)) == [("stress", 0.4, "used")]


def test_alignment_risk_has_no_cooldown(life, fates):
    for number in range(3):
        life.signal("alignment_risk", 0.1 * number, ts=1000.0 + number / 1000)
    assert fates(life.open(ts=1000.1)) == [("alignment_risk", 0.2, "used")]


@pytest.mark.parametrize(("ts", "fate"), [(1000.8, "used"), (1000.801, "expired")])
def test_a_signal_counts_up_to_its_time_to_live(life, fates, ts, fate):
    life.signal("stress", 0.5, ts=1000.0, ttl_ms=800)
    record = life.open(ts=ts)
    assert fates(record) == [("stress", 0.5, fate)]
    assert (record["parameters"]["temperature"] == 0.6) == (fate == "expired")


def test_an_expired_signal_is_shown_once_and_forgotten(life, fates):
    life.signal("stress", 0.5, ts=1000.0)
    assert fates(life.open("t1", ts=2000.0)) == [("stress", 0.5, "expired")]
    assert fates(life.open("t2", ts=2001.0)) == []
    assert life.state["active"] == {}


def test_a_signal_with_ttl_0_counts_for_the_turn_it_names_alone(life, fates):
    life.signal("stress", 1.0, ts=500.0, ttl_ms=0, audit_id="t2")
    assert fates(life.open("t1")) == [("stress", 1.0, "other_turn")]
    assert fates(life.open("t2", ts=1010.0)) == [("stress", 1.0, "used")]
    assert fates(life.open("t3", ts=1010.0)) == [("stress", 1.0, "other_turn")]
    assert fates(life.open("t4", ts=1010.0)) == []


def test_an_inline_signal_with_ttl_0_counts_for_its_turn(life, fates):
    record = life.open("t1", signals=[{"name": "stress", "level": 1.0, "ttl_ms": 0}])
    assert fates(record) == [("stress", 1.0, "used")]
    assert fates(life.open("t2")) == [("stress", 1.0, "other_turn")]


def test_a_signal_with_ttl_0_that_names_no_turn_never_counts(life, fates):
    life.signal("stress", 1.0, ttl_ms=0)
    assert fates(life.open("t1")) == [("stress", 1.0, "other_turn")]
    assert life.state["one_turn"] == []


def test_of_several_active_signals_the_latest_counts(life, fates):
    life.signal("stress", 0.9, ts=1000.0, ttl_ms=60_000)
    life.signal("stress", 0.1, ts=1001.0, ttl_ms=5_000)
    assert fates(life.open(ts=1002.0)) == [("stress", 0.1, "used")]
    assert ("stress", 0.9, "used") in fates(life.open("t2", ts=1007.0))


def test_at_equal_time_the_highest_level_counts_in_any_order_of_arrival(new_life, fates):
    results = set()
    for order in itertools.permutations([0.3, 0.9, 0.5]):
        life = new_life()
        for level in order:
            life.signal("stress", level)
        record = life.open()
        results.add(str(record))
        assert fates(record) == [("stress", 0.9, "used"), ("stress", 0.5, "cooldown"), ("stress", 0.3, "cooldown")]
    assert len(results) == 1


def test_inline_signals_have_the_ttl_and_source_of_the_rules(life):
    record = life.open(ts=1000.0, signals={"stress": 0.5})
    assert record["signals"] == [{"name": "stress", "level": 0.5, "source": "runtime", "ts": 1000.0, "fate": "used"}]
    assert life.open("t2", ts=1000.8)["signals"][0]["fate"] == "used"
    assert life.open("t3", ts=1000.9)["signals"][0]["fate"] == "expired"


def test_a_source_has_60_signals_accepted_per_window_and_the_rest_are_suppressed(life, fates):
    for number in range(62):
        life.signal("alignment_risk", 0.5, ts=1000.0 + number / 2, source="a")
    life.signal("alignment_risk", 0.5, ts=1031.0, source="b")
    listed = fates(life.open(ts=1031.0))
    assert listed.count(("alignment_risk", 0.5, "budget")) == 2
    assert life.state["risk_budgets"] == {"a": [1000_000_000, 60], "b": [1031_000_000, 1]}
    life.signal("alignment_risk", 0.6, ts=1060.0, source="a")
    assert fates(life.open("t2", ts=1060.0))[0] == ("alignment_risk", 0.6, "used")


def test_sources_beyond_the_bound_share_one_budget(new_life):
    life = new_life({"homeostat": {"budget": {"signals": 2, "sources": 3}}})
    for number in range(50):
        life.signal("alignment_risk", 0.5, ts=1000.0 + number / 10, source=f"s{number}")
    assert set(life.state["risk_budgets"]) == {"s0", "s1", "s2", ""}
    assert life.state["risk_budgets"][""][1] == 2


def test_a_source_is_held_to_its_cap(new_life, fates):
    life = new_life({"homeostat": {"caps": {"shy": 0.5}}})
    life.signal("stress", 0.9, source="shy")
    life.signal("novelty", 1.9, source="shy")
    life.signal("trust", 0.4, source="shy")
    record = life.open()
    assert fates(record) == [("stress", 0.5, "capped"), ("novelty", 0.5, "capped"), ("trust", 0.4, "used")]
    assert record["parameters"]["temperature"] == pytest.approx(0.4)


def stress(life, levels, start=1000.0):
    for number, level in enumerate(levels):
        life.signal("stress", level, ts=start + number, ttl_ms=60_000)


def names(record):
    return [(one["name"], one["source"]) for one in record["signals"] if one["name"] == "stabilize"]


@pytest.mark.parametrize(
    ("levels", "emitted"),
    [
        ([0.7, 0.7, 0.7], True),
        ([0.7, 0.69, 0.7], False),
        ([0.9, 0.9], False),
        ([0.1, 0.9, 0.9, 0.9], True),
    ],
)
def test_three_consecutive_stress_signals_from_seven_tenths_raise_stabilize(life, levels, emitted):
    stress(life, levels)
    assert names(life.open(ts=1005.0)) == ([("stabilize", "homeostat")] if emitted else [])


def test_stabilize_calms(life):
    stress(life, [0.7, 0.7, 0.7])
    assert life.open(ts=1005.0)["parameters"]["top_p"] == 0.55
    calm = life.open("t2", ts=1005.0, signals={"stress": 0.0, "novelty": 1.0})["parameters"]
    assert (calm["temperature"], calm["top_p"], calm["max_output_tokens"], calm["planner_beam"]) == (0.3, 0.6, 900, 2)


def test_stabilize_is_emitted_once_and_re_armed_by_a_lower_stress(life):
    stress(life, [0.8] * 6)
    (held,) = life.state["active"]["stabilize"]
    assert held[5] == 1002.0
    stress(life, [0.1, 0.8, 0.8], start=1010.0)
    assert len(life.state["active"]["stabilize"]) == 1
    stress(life, [0.8], start=1013.0)
    assert life.state["active"]["stabilize"][0][5] == 1013.0


def test_a_suppressed_stress_signal_makes_no_run(life):
    for number in range(5):
        life.signal("stress", 0.9, ts=1000.0 + number / 10)
    assert "stabilize" not in life.state["active"]


def test_stress_signals_of_one_moment_are_one_whatever_their_order(new_life):
    for order in itertools.permutations([0.2, 0.9, 0.8]):
        life = new_life()
        stress(life, [0.8, 0.8])
        for level in order:
            life.signal("stress", level, ts=1002.0, ttl_ms=60_000)
        assert len(life.state["active"]["stabilize"]) == 1
        assert "stabilize" not in [one["name"] for one in life.state["to_show"]]
        life.signal("stress", 0.95, ts=1003.0, ttl_ms=60_000)
        assert life.state["active"]["stabilize"][0][5] == 1002.0


def test_explanations_are_ordered_by_weight(life):
    names = ["trust", "urgency", "novelty", "ambiguity", "stress", "alignment_risk"]
    record = life.open(signals=dict.fromkeys(names, 0.5))
    listed = [one["name"] for one in record["signals"]]
    assert listed == ["alignment_risk", "stress", "ambiguity", "novelty", "urgency", "trust"]


def test_a_turn_without_signals_is_read_by_the_heuristics_as_shipped_up_to_their_cap(new_life):
    prompt = "URGENT!!! The production is down, fix it immediately, right now!"
    assert new_life({"heuristics": {"live": False}}).open(prompt=prompt)["signals"] == []
    life = new_life()
    read = life.open(prompt=prompt)["signals"]
    urgency = next(one for one in read if one["name"] == "urgency")
    assert (urgency["level"], urgency["source"], urgency["fate"]) == (0.6, "heuristics", "capped")
    assert "alignment_risk" not in [one["name"] for one in read]
    own = life.open("t2", ts=2000.0, prompt=prompt, signals={"trust": 0.5})
    assert [one["name"] for one in own["signals"] if one["fate"] == "used"] == ["trust"]


def test_memory_is_bounded_whatever_comes(new_life):
    life = new_life()
    for number in range(400):
        ts = 1000.0 + number
        life.signal("stress", 0.5, ts=ts, ttl_ms=10**9 - number * 10**6, source=f"s{number}")
        life.signal("stress", 0.5, ts=ts, ttl_ms=0, source="x", audit_id=f"never{number}")
        life.open(f"t{number}", ts=ts)
    memory = life.policy.document.homeostat.memory
    state = life.state
    assert len(state["turns"]) == memory.open_turns
    assert len(state["closed"]) == memory.closed_turns
    assert len(state["active"]["stress"]) <= memory.signals_per_name
    assert len(state["one_turn"]) == memory.one_turn_signals
    assert len(state["to_show"]) <= memory.suppressed
    assert len(state["budgets"]) <= life.policy.document.homeostat.budget.sources + 1
