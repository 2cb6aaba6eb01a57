"""Time that others claim: clocks that never go back (rules, section 10)."""


def test_stepping_back_in_time_is_no_way_around_the_cooldown(life, fates):
    life.signal("stress", 0.2, ts=1000.0, ttl_ms=9000)
    life.signal("stress", 0.9, ts=999.0, ttl_ms=9000)
    assert fates(life.open(ts=1001.0)) == [("stress", 0.2, "used"), ("stress", 0.9, "cooldown")]


def test_a_time_claimed_ahead_keeps_other_sources_out_for_one_cooldown_at_most(life):
    life.signal("stress", 0.2, ts=1299.0, ttl_ms=9000, source="forger", appended=1000.0)
    life.signal("stress", 0.9, ts=1001.0, ttl_ms=9000, source="honest", appended=1001.0)
    life.signal("stress", 0.9, ts=1002.0, ttl_ms=9000, source="honest", appended=1002.0)
    assert life.state["accepted"] == {"stress": 1002.0}


def test_stepping_back_in_time_is_no_way_around_the_budget(new_life, fates):
    life = new_life({"homeostat": {"budget": {"signals": 2}}, "signals": [{"name": "trust", "cooldown_ms": 0}]})
    for number in range(4):
        life.signal("trust", 0.5, ts=5000.0 - 100 * number, ttl_ms=10**7)
    assert fates(life.open(ts=5000.0)).count(("trust", 0.5, "budget")) == 2


def test_stepping_ahead_in_time_gains_one_window_of_a_budget_where_the_append_time_is_known(new_life):
    life = new_life({"homeostat": {"budget": {"signals": 2}}, "signals": [{"name": "trust", "cooldown_ms": 0}]})
    for step in range(5):  # 5 windows of 60 s within the 300 s that a record may claim ahead
        for _ in range(5):
            life.signal("trust", 0.1, ts=1000.0 + 60 * step, ttl_ms=10**7, appended=1000.0)
    assert life.state["budgets"] == {"probe": [1060_000_000, 2]}
    assert len(life.state["active"]["trust"]) <= 4


def test_a_turn_that_claims_to_be_later_than_it_is_makes_no_signal_expire(life):
    life.signal("alignment_risk", 0.9, ts=1000.0, ttl_ms=60_000)
    assert life.open("t1", ts=1299.0, appended=1001.0)["mode"] == "strict"
    assert life.open("t2", ts=1002.0, appended=1002.0)["mode"] == "strict"
    assert life.open("t3", ts=1062.0, appended=1062.0)["mode"] == "balanced"


def test_what_a_turn_saw_expire_comes_back_for_no_earlier_one(life, fates):
    life.signal("novelty", 1.0, ts=1000.0, ttl_ms=1000)
    life.open("t1", ts=1010.0)
    assert fates(life.open("t2", ts=1000.5)) == []


def test_the_day_of_the_cap_does_not_begin_again_by_going_back_and_forth(life):
    life.cap(1)
    start = 200_000.0
    assert life.open("t1", ts=start)["admitted"]
    for number, ts in enumerate([start - 100_000, start + 1, 0.0, start + 86_400]):
        assert life.open(f"u{number}", ts=ts)["refusal"] == "rate_limited"
    assert life.open("t2", ts=start + 86_401)["admitted"]
    assert life.open("t3", ts=start)["refusal"] == "rate_limited"


def test_the_window_of_tokens_does_not_begin_again_by_going_back(new_life):
    life = new_life({"budget": {"limit": 1000, "soft_share": 0.8, "window_s": 100.0}})
    usage = {"input_tokens": 900, "output_tokens": 0}
    life.open("t1", ts=1000.0)
    life.feed("interactions", kind="closed", audit_id="t1", response="ok", usage=usage, ts=1000.0)
    for number, ts in enumerate([500.0, 1050.0, 1051.0]):
        assert life.open(f"u{number}", ts=ts)["parameters"]["tool_allowlist"] == ["retrieval"]
    assert "browser" in life.open("t2", ts=1100.0)["parameters"]["tool_allowlist"]
