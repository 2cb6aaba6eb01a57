"""Compiling a document: grid checks, agreement of sections, digest; all mistakes at once."""

import pytest

from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.errors import PolicyError
from endocrine.agents.policy.parameters import PARAMETERS, TIGHTENING
from endocrine.agents.policy.resolve import lay_over

X = [number / 100 for number in range(101)]
TABLE = {
    ("alignment_risk", "temperature"): lambda x: 1 - 0.85 * x,
    ("alignment_risk", "top_p"): lambda x: max(0.2, 1 - 0.8 * x),
    ("alignment_risk", "reasoning_effort"): lambda x: min(1, 0.4 + 0.6 * x),
    ("alignment_risk", "planner_beam"): lambda x: max(1, round(6 - 4 * x)),
    ("alignment_risk", "safety_mode"): lambda x: "strict" if x > 0.3 else "balanced",
    ("alignment_risk", "tool_allowlist"): lambda x: ["retrieval"] if x > 0.7 else ["retrieval", "browser"],
    ("stress", "temperature"): lambda x: max(0.1, 0.7 - 0.6 * x),
    ("stress", "top_p"): lambda x: max(0.3, 0.9 - 0.5 * x),
    ("stress", "max_output_tokens"): lambda x: round(1400 - 600 * x),
    ("stress", "retrieval_k"): lambda x: min(10, 4 + round(4 * x)),
    ("ambiguity", "reasoning_effort"): lambda x: min(1, 0.3 + 0.7 * x),
    ("ambiguity", "retrieval_k"): lambda x: min(10, 6 + round(3 * x)),
    ("ambiguity", "planner_beam"): lambda x: min(6, 2 + round(3 * x)),
    ("urgency", "max_output_tokens"): lambda x: round(900 - 500 * x),
    ("urgency", "reasoning_effort"): lambda x: max(0.2, 0.8 - 0.6 * x),
    ("urgency", "tool_allowlist"): lambda x: ["retrieval"],
    ("novelty", "temperature"): lambda x: min(1, 0.6 + 0.6 * x),
    ("novelty", "top_p"): lambda x: min(1, 0.7 + 0.3 * x),
    ("novelty", "planner_beam"): lambda x: min(6, 3 + round(3 * x)),
    ("novelty", "memory_write"): lambda x: min(1, 0.3 + 0.7 * x),
    ("novelty", "safety_mode"): lambda x: "creative" if x > 0.8 else "balanced",
    ("trust", "temperature"): lambda x: min(1, 0.5 + 0.4 * x),
    ("trust", "memory_write"): lambda x: min(1, 0.5 + 0.5 * x),
    ("trust", "safety_mode"): lambda x: "balanced",
    ("stabilize", "temperature"): lambda x: 0.3,
    ("stabilize", "top_p"): lambda x: 0.6,
    ("stabilize", "max_output_tokens"): lambda x: 900,
    ("stabilize", "planner_beam"): lambda x: 2,
}
LOOSE = {"temperature": 1.0, "top_p": 1.0, "max_output_tokens": 2048, "planner_beam": 6, "safety_mode": "balanced"}


def test_every_shipped_map_gives_the_table_of_the_rules(shipped):
    maps = {
        (one.signal, name): one for group in (shipped.easing, shipped.guards) for name in group for one in group[name]
    }
    assert maps.keys() == TABLE.keys()
    absent = dict.fromkeys(["alignment_risk", "stress", "stabilize", "ambiguity", "urgency", "novelty", "trust"], 0.0)
    for (signal, name), expected in TABLE.items():
        for x in X:
            assert maps[signal, name].evaluate(x, LOOSE.get(name), absent) == expected(x), (signal, name, x)


def test_the_weakest_signal_is_applied_first(shipped):
    assert [one.signal for one in shipped.easing["temperature"]] == ["trust", "novelty"]
    assert [one.signal for one in shipped.guards["temperature"]] == ["stabilize", "stress", "alignment_risk"]


def test_shipped_values_are_those_of_the_rules(shipped):
    rules = {one.name: (one.weight, one.cooldown_ms) for one in shipped.document.signals if one.name != "stabilize"}
    assert rules == {
        "alignment_risk": (1.0, 0),
        "stress": (0.9, 800),
        "ambiguity": (0.7, 700),
        "urgency": (0.5, 300),
        "novelty": (0.6, 500),
        "trust": (0.4, 500),
    }
    assert shipped.resolved["defaults"] == {
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
    assert shipped.resolved["strict_allowlist"] == ["retrieval"]
    assert shipped.resolved["homeostat"]["budget"]["signals"] == 60
    assert shipped.resolved["homeostat"]["budget"]["window_ms"] == 60_000


def test_a_published_document_compiles_to_the_same_digest(shipped):
    assert compile_policy(shipped.resolved).digest == shipped.digest == canonical_digest(shipped.resolved)


def test_the_digest_knows_every_value_and_no_order(shipped, compiled):
    assert compiled({"defaults": {"temperature": 0.61}}).digest != shipped.digest
    assert compiled({"flags": {"BROWSER_TOOL": False}}).digest != shipped.digest
    reordered = dict(reversed(list(shipped.resolved.items())))
    assert compile_policy(reordered).digest == shipped.digest


def test_the_canonical_form_is_rfc_8785():
    text = b'{"a":1,"b":[0.1,"\xc3\xa9"]}'
    import hashlib

    assert canonical_digest({"b": [0.1, "é"], "a": 1.0}) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("signal", TIGHTENING)
@pytest.mark.parametrize(
    ("parameter", "expression"),
    [
        ("temperature", "0.2 + 0.1*x"),
        ("top_p", "0.5 if x > 0.5 else 0.4"),
        ("max_output_tokens", "round(500 + 4*x)"),
        ("planner_beam", "round(1 + x)"),
        ("safety_mode", "balanced if x > 0.9 else strict"),
        ("tool_allowlist", "[browser] if x > 0.5 else [retrieval]"),
        ("temperature", "0.5 - 0.4*x if novelty < 0.5 else 0.1 + 0.4*x"),
    ],
)
def test_a_tightening_map_that_loosens_a_safety_parameter_as_its_level_rises_is_refused(
    refused, signal, parameter, expression
):
    (mistake,) = refused({"maps": {signal: {parameter: expression}}})
    assert mistake.startswith(f"maps.{signal}.{parameter}: '{expression}': loosens from ")


def test_a_tightening_map_may_raise_what_has_no_safety_direction(refused):
    assert refused({"maps": {"stress": {"retrieval_k": "2 + round(4*x)", "memory_write": "x"}}}) == []


def test_a_tightening_map_that_leaves_the_value_so_far_alone_at_low_levels_is_accepted(refused):
    maps = {"safety_mode": "strict if x > 0.5 else balanced if x > 0.2 else current",
            "tool_allowlist": "current if x < 0.4 else [browser]",
            "temperature": "min(current, 0.3)"}  # fmt: skip
    assert refused({"maps": {"alignment_risk": maps}}) == []
    assert "loosens from" in refused({"maps": {"stress": {"temperature": "current + 0.1*x"}}})[0]


def test_the_same_map_of_another_signal_is_accepted(refused):
    assert refused({"maps": {"novelty": {"temperature": "0.2 + 0.1*x"}}}) == []


def test_a_map_that_loosens_as_alignment_risk_rises_is_refused_unless_the_guard_makes_up_for_it(refused):
    text = "0.2 if alignment_risk < 0.5 else 0.9"
    (mistake,) = refused({"maps": {"trust": {"temperature": text}}})
    assert "as alignment_risk rises to 0.5" in mistake
    assert refused({"maps": {"trust": {"temperature": text}, "alignment_risk": {"temperature": "0.1"}}}) == []


def test_a_map_that_loosens_as_the_value_so_far_tightens_is_refused(refused):
    (mistake,) = refused({"maps": {"stress": {"temperature": "1 - current"}}})
    assert "as current tightens" in mistake


@pytest.mark.parametrize(
    ("parameter", "expression", "what"),
    [
        ("retrieval_k", "4 * x", "need not be whole"),
        ("temperature", "strict", "gives a word"),
        ("temperature", "[retrieval]", "gives a tools"),
        ("safety_mode", "x", "gives a number"),
        ("safety_mode", "retrieval", "gives 'retrieval'"),
        ("safety_mode", "wild if x > 0.5 else strict", "unknown name 'wild'"),
        ("tool_allowlist", "retrieval", "gives a word"),
        ("tool_allowlist", "[teleport]", "unknown name 'teleport'"),
        ("tool_allowlist", "[strict]", "gives ['strict']"),
        ("planner_beam", "x > 0.5", "gives a truth"),
    ],
)
def test_a_map_that_leaves_its_type_is_refused(refused, parameter, expression, what):
    (mistake,) = refused({"maps": {"novelty": {parameter: expression}}})
    assert what in mistake
    assert mistake.startswith(f"maps.novelty.{parameter}: '{expression}': ")


def test_a_way_to_combine_that_makes_no_sense_is_refused(refused):
    long = {"expression": "0.5", "combine": "tightest"}
    assert "no tighter direction" in refused({"maps": {"novelty": {"memory_write": long}}})[0]
    mean = {"expression": "strict", "combine": "weighted_mean"}
    assert "is no number" in refused({"maps": {"novelty": {"safety_mode": mean}}})[0]
    mean = {"expression": "0.1", "combine": "weighted_mean"}
    assert "the guard" in refused({"maps": {"stress": {"temperature": mean}}})[0]
    assert refused({"maps": {"stress": {"memory_write": mean}}}) == []


@pytest.mark.parametrize(
    ("partial", "place"),
    [
        ({"bounds": {"temperature": [0, 2]}}, "bounds.temperature"),
        ({"bounds": {"temperature": [0.9, 0.1]}}, "bounds.temperature"),
        ({"bounds": {"retrieval_k": [0, 5]}}, "bounds.retrieval_k"),
        ({"bounds": {"retrieval_k": [2.5, 10]}}, "bounds.retrieval_k.0"),
        ({"bounds": {"safety_mode": ["balanced", "creative"]}}, "bounds.safety_mode"),
        ({"bounds": {"temperature": [0.7, 1]}}, "defaults.temperature"),
        ({"bounds": {"safety_mode": ["strict"]}}, "defaults.safety_mode"),
        ({"defaults": {"tool_allowlist": ["teleport"]}}, "defaults.tool_allowlist"),
        ({"defaults": {"tool_allowlist": ["Browser"]}}, "defaults.tool_allowlist.0"),
        ({"defaults": {"temperature": "hot"}}, "defaults.temperature"),
        ({"defaults": {"temperature": float("nan")}}, "defaults.temperature"),
        ({"defaults": {"planner_beam": True}}, "defaults.planner_beam"),
        ({"strict_allowlist": ["teleport"]}, "strict_allowlist"),
        ({"flags": {"TELEPORT": True}}, "flags.TELEPORT"),
        ({"flags": {"BROWSER_TOOL": "yes"}}, "flags.BROWSER_TOOL"),
        ({"prompt_styles": {"strict": {"system_preamble": ""}}}, "prompt_styles.strict.system_preamble"),
        ({"prompt_styles": {"wild": {}}}, "prompt_styles.wild"),
        ({"signals": [{"name": "stress", "weight": 2}]}, "signals.stress.weight"),
        ({"signals": [{"name": "stress", "color": 2}]}, "signals.stress.color"),
        ({"maps": {"hunger": {"temperature": "x"}}}, "maps.hunger"),
        ({"maps": {"stress": {"colour": "x"}}}, "maps.stress.colour"),
        ({"maps": {"stress": {"temperature": {"expression": "0.1", "mode": 1}}}}, "maps.stress.temperature.mode"),
        ({"maps": None}, "maps"),
        ({"maps": {"stress": {"temperature": None}}}, "maps.stress.temperature"),
        ({"homeostat": {"budget": {"signals": 0}}}, "homeostat.budget.signals"),
        ({"homeostat": {"caps": {"me": 2}}}, "homeostat.caps.me"),
        ({"tools": {"Teleport": {}}}, "tools.Teleport"),
        ({"tools": {"search": {"flag": "MAGIC"}}}, "tools.search.flag"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_mistake_is_named_by_its_place(refused, partial, place):
    assert [mistake.split(": ")[0] for mistake in refused(partial)] == [place]


def test_all_mistakes_are_found_at_once(refused):
    partial = {
        "bounds": {"temperature": [0, 2]},
        "flags": {"X": True},
        "maps": {"stress": {"temperature": "1 + ", "top_p": "x.y"}, "novelty": {"colour": "1", "top_p": "strict"}},
    }
    places = {mistake.split(": ")[0] for mistake in refused(partial)}
    assert places == {
        "bounds.temperature",
        "flags.X",
        "maps.stress.temperature",
        "maps.stress.top_p",
        "maps.novelty.colour",
        "maps.novelty.top_p",
    }


def test_a_missing_section_is_an_error(shipped):
    partial = {name: value for name, value in shipped.resolved.items() if name != "gating"}
    with pytest.raises(PolicyError, match="gating: 'gating': the section is missing"):
        compile_policy(partial)


def test_a_tool_of_the_policy_that_the_registry_lacks_is_an_error(shipped):
    tools = {name: spec for name, spec in shipped.resolved["tools"].items() if name != "browser"}
    with pytest.raises(PolicyError) as error:
        compile_policy({**shipped.resolved, "tools": tools})
    places = {".".join(mistake.path) for mistake in error.value.errors}
    assert places == {"bounds.tool_allowlist", "defaults.tool_allowlist", "maps.alignment_risk.tool_allowlist"}


def test_what_is_left_out_keeps_its_shipped_value(shipped, compiled):
    policy = compiled(
        {"signals": [{"name": "stress", "weight": 0.5, "cooldown_ms": 100}], "bounds": {"top_p": [0.2, 1]}}
    )
    stress = next(rule for rule in policy.document.signals if rule.name == "stress")
    assert (stress.weight, stress.cooldown_ms, stress.precedence) == (0.5, 100, 2)
    assert policy.document.signals[0] == shipped.document.signals[0]
    assert policy.document.bounds.top_p == (0.2, 1)
    assert policy.document.bounds.temperature == (0, 1)


def test_maps_when_given_replace_all_maps(compiled):
    policy = compiled({"maps": {"urgency": {"retrieval_k": 3}}})
    assert [name for name in PARAMETERS if policy.easing[name] or policy.guards[name]] == ["retrieval_k"]


def test_two_signals_of_equal_precedence_go_by_weight(compiled):
    policy = compiled({"signals": [{"name": "trust", "precedence": 5}]})
    assert [one.signal for one in policy.easing["temperature"]] == ["trust", "novelty"]
    policy = compiled({"signals": [{"name": "trust", "precedence": 5, "weight": 0.7}]})
    assert [one.signal for one in policy.easing["temperature"]] == ["novelty", "trust"]


@pytest.mark.parametrize(
    "signals", [{"stress": {}}, ["stress"], [{"weight": 1}], [{"name": "hunger"}], [{"name": "stress"}] * 2]
)
def test_a_malformed_list_of_signals_is_a_mistake(shipped, signals):
    _, errors = lay_over(shipped.resolved, {"signals": signals})
    assert len(errors) == 1
