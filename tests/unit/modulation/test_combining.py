"""Combining signals into parameters, with the numbers of the rules (section 2)."""

import pytest

DEFAULTS = {
    "temperature": 0.6,
    "top_p": 0.9,
    "max_output_tokens": 900,
    "reasoning_effort": 0.5,
    "retrieval_k": 6,
    "planner_beam": 2,
    "memory_write": 0.4,
    "safety_mode": "balanced",
    "tool_allowlist": ["retrieval", "browser"],
}


def approx(parameters):
    return {key: pytest.approx(value) if isinstance(value, float) else value for key, value in parameters.items()}


def test_without_signals_a_turn_has_the_defaults(life):
    record = life.open()
    assert record["parameters"] == DEFAULTS
    assert (record["revision"], record["admitted"], record["refusal"], record["review"]) == (0, True, None, "none")
    assert (record["mode"], record["prompt_style"], record["signals"]) == ("balanced", "balanced", [])
    assert record["lineage"]["temperature"] == [{"step": "default", "by": "defaults", "from": None, "to": 0.6}]
    assert list(record["parameters"]) == list(DEFAULTS) == list(record["lineage"])


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        # 1 - 0.85*0.1 = 0.915 is looser than 0.6: the guard keeps 0.6. 1 - 0.08 = 0.92 likewise.
        ({"alignment_risk": 0.1}, {"reasoning_effort": 0.46}),
        ({"alignment_risk": 0.3}, {"top_p": 0.76, "reasoning_effort": 0.58}),
        (
            {"alignment_risk": 0.5},
            {"temperature": 0.575, "top_p": 0.6, "reasoning_effort": 0.7, "safety_mode": "strict",
             "tool_allowlist": ["retrieval"]},
        ),
        (
            {"alignment_risk": 1.0},
            {"temperature": 0.15, "top_p": 0.2, "reasoning_effort": 1.0, "safety_mode": "strict",
             "tool_allowlist": ["retrieval"]},
        ),
        ({"stress": 0.0}, {"retrieval_k": 4}),
        ({"stress": 0.5}, {"temperature": 0.4, "top_p": 0.65}),
        ({"stress": 1.0}, {"temperature": 0.1, "top_p": 0.4, "max_output_tokens": 800, "retrieval_k": 8}),
        ({"ambiguity": 0.5}, {"reasoning_effort": 0.65, "retrieval_k": 8, "planner_beam": 4}),
        ({"ambiguity": 1.0}, {"reasoning_effort": 1.0, "retrieval_k": 9, "planner_beam": 5}),
        ({"urgency": 0.4}, {"max_output_tokens": 700, "reasoning_effort": 0.56, "tool_allowlist": ["retrieval"]}),
        ({"novelty": 0.5}, {"temperature": 0.9, "top_p": 0.85, "planner_beam": 5, "memory_write": 0.65}),
        (
            {"novelty": 0.9},
            {"temperature": 1.0, "top_p": 0.97, "planner_beam": 6, "memory_write": 0.93, "safety_mode": "creative"},
        ),
        ({"trust": 0.5}, {"temperature": 0.7, "memory_write": 0.75}),
        # ambiguity is stronger than urgency: it has the last word on reasoning_effort.
        (
            {"urgency": 1.0, "ambiguity": 0.0},
            {"max_output_tokens": 400, "reasoning_effort": 0.3, "tool_allowlist": ["retrieval"]},
        ),
        # novelty is stronger than trust.
        (
            {"trust": 1.0, "novelty": 0.1},
            {"temperature": 0.66, "top_p": 0.73, "planner_beam": 3, "memory_write": 0.37},
        ),
        # stress tightens what novelty loosened, and takes retrieval_k, which has no safety direction.
        (
            {"novelty": 0.9, "stress": 0.5},
            {"temperature": 0.4, "top_p": 0.65, "planner_beam": 6, "memory_write": 0.93, "safety_mode": "creative"},
        ),
        # alignment_risk 0.1 keeps novelty from creative, and its guard holds the mode at balanced.
        (
            {"novelty": 0.9, "alignment_risk": 0.1},
            {"temperature": 0.915, "top_p": 0.92, "reasoning_effort": 0.46, "planner_beam": 6, "memory_write": 0.93},
        ),
        # round(6 - 4*0.9) = 2: alignment_risk narrows the planner that novelty widened, and leaves the retrieval.
        (
            {"novelty": 0.9, "alignment_risk": 0.9},
            {"temperature": 0.235, "top_p": 0.28, "reasoning_effort": 0.94, "planner_beam": 2, "memory_write": 0.93,
             "safety_mode": "strict", "tool_allowlist": ["retrieval"]},
        ),
        ({"alignment_risk": 0.0, "novelty": 0.9},
         {"temperature": 1.0, "top_p": 0.97, "reasoning_effort": 0.4, "planner_beam": 6, "memory_write": 0.93}),
    ],
)  # fmt: skip
def test_signals_give_the_parameters_of_the_rules(life, signals, expected):
    assert life.open(signals=signals)["parameters"] == approx({**DEFAULTS, **expected})


def test_each_step_is_recorded(life):
    record = life.open(signals={"novelty": 0.5, "trust": 0.5, "stress": 0.5})
    assert record["lineage"]["temperature"] == [
        {"step": "default", "by": "defaults", "from": None, "to": 0.6},
        {"step": "map", "by": "trust", "from": 0.6, "to": 0.7},
        {"step": "map", "by": "novelty", "from": 0.7, "to": pytest.approx(0.9)},
        {"step": "guard", "by": "stress", "from": pytest.approx(0.9), "to": pytest.approx(0.4)},
    ]


def test_nudges_come_before_the_guard_and_are_bounded(life):
    life.style(temperature=0.05, top_p=0.2, memory_write=0.02)
    record = life.open()
    assert record["parameters"] == approx({**DEFAULTS, "temperature": 0.65, "top_p": 1.0, "memory_write": 0.42})
    assert [step["step"] for step in record["lineage"]["top_p"]] == ["default", "nudge", "bound"]
    guarded = life.open("t2", signals={"stress": 0.5})
    assert guarded["parameters"]["temperature"] == pytest.approx(0.4)
    assert [step["step"] for step in guarded["lineage"]["temperature"]] == ["default", "nudge", "guard"]


def test_on_a_strict_turn_only_nudges_that_tighten_count(life):
    life.style(temperature=-0.2, top_p=0.2, memory_write=0.2)
    parameters = life.open(signals={"alignment_risk": 0.31})["parameters"]
    assert (parameters["safety_mode"], parameters["memory_write"]) == ("strict", 0.4)
    assert parameters["temperature"] == pytest.approx(0.4)
    assert parameters["top_p"] == pytest.approx(1 - 0.8 * 0.31)


def test_a_strict_turn_has_the_strict_allowlist_and_style_whatever_made_it_strict(life, new_life):
    locked = new_life()
    locked.style(locked=True)
    for record, by in [
        (life.open(signals={"alignment_risk": 0.31}), ("guard", "alignment_risk")),
        (new_life({"flags": {"STRICT_DEFAULT": True}}).open(), ("flag", "STRICT_DEFAULT")),
        (locked.open(), ("lock", "drift_lock")),
    ]:
        assert (record["mode"], record["prompt_style"]) == ("strict", "strict")
        assert record["parameters"]["tool_allowlist"] == ["retrieval"]
        last = record["lineage"]["safety_mode"][-1]
        assert (last["step"], last["by"]) == by
        assert record["lineage"]["tool_allowlist"][-1]["step"] == "strict"


def test_a_lock_that_is_released_binds_no_more(life):
    life.style(locked=True)
    assert life.open()["mode"] == "strict"
    life.style(locked=False)
    assert life.open("t2")["mode"] == "balanced"


def test_a_tool_switched_off_leaves_the_allowlist(new_life):
    record = new_life({"flags": {"BROWSER_TOOL": False}}).open()
    assert record["parameters"]["tool_allowlist"] == ["retrieval"]
    assert record["lineage"]["tool_allowlist"][-1]["by"] == "BROWSER_TOOL"
    offered = {"defaults": {"tool_allowlist": ["search", "retrieval"]}}
    assert new_life(offered).open()["parameters"]["tool_allowlist"] == ["retrieval"]
    offered["flags"] = {"SEARCH_TOOL": True}
    assert new_life(offered).open()["parameters"]["tool_allowlist"] == ["search", "retrieval"]


def test_bounds_of_the_policy_hold(new_life):
    bounds = {"temperature": [0.3, 0.7], "safety_mode": ["strict", "balanced"], "retrieval_k": [3, 5]}
    life = new_life({"bounds": bounds, "defaults": {"retrieval_k": 4}})
    assert life.open(signals={"novelty": 1.0})["parameters"]["temperature"] == 0.7
    record = life.open("t2", ts=2000.0, signals={"alignment_risk": 1.0, "ambiguity": 1.0})
    assert (record["parameters"]["temperature"], record["parameters"]["retrieval_k"]) == (0.3, 5)
    creative = life.open("t3", ts=3000.0, signals={"novelty": 0.9})
    assert creative["mode"] == "balanced"


@pytest.mark.parametrize(("level", "review"), [(0.89, "none"), (0.9, "suggested"), (1.0, "suggested")])
def test_review_is_suggested_from_an_alignment_risk_of_nine_tenths(life, level, review):
    assert life.open(signals={"alignment_risk": level})["review"] == review


def test_weighted_mean_weighs_by_weight_and_tightest_takes_the_tighter(new_life):
    mean = {"combine": "weighted_mean"}
    life = new_life(
        {"maps": {"novelty": {"temperature": {"expression": "1.0", **mean}, "top_p": "0.9"},
                  "trust": {"temperature": {"expression": "0.5", **mean}, "top_p": "0.5"},
                  "urgency": {"top_p": {"expression": "0.7", "combine": "tightest"}}}}
    )  # fmt: skip
    parameters = life.open(signals={"novelty": 1.0, "trust": 1.0, "urgency": 1.0})["parameters"]
    assert parameters["temperature"] == pytest.approx((0.6 * 1.0 + 0.4 * 0.5) / 1.0)
    assert parameters["top_p"] == 0.7
    assert life.open("t2", ts=2000.0, signals={"trust": 1.0})["parameters"]["temperature"] == 0.5


def test_a_weighted_mean_of_whole_numbers_is_whole(new_life):
    mean = {"combine": "weighted_mean"}
    maps = {
        "novelty": {"retrieval_k": {"expression": "8", **mean}},
        "stress": {"retrieval_k": {"expression": "3", **mean}},
    }
    assert new_life({"maps": maps}).open(signals={"novelty": 1, "stress": 1})["parameters"]["retrieval_k"] == 5
