"""The invariants of rules section 2: they hold for every input."""

import itertools

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.modulation.combine import Hold, Style, settle
from endocrine.agents.policy.parameters import MODES, PARAMETERS
from properties import examples

NAMES = ["alignment_risk", "stress", "ambiguity", "urgency", "novelty", "trust", "stabilize"]
level = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0]))
levels = st.dictionaries(st.sampled_from(NAMES), level)
delta = st.floats(-0.2, 0.2)
styles = st.builds(Style, delta, delta, st.floats(0, 0.2), st.booleans())
incident = st.sampled_from([None, "gating/c/1"])
FLAGS = [
    {},
    {"BROWSER_TOOL": False},
    {"STRICT_DEFAULT": True},
    {"SEARCH_TOOL": True, "CODE_EXEC_TOOL": True},
]
EVERYTHING = {"tool_allowlist": ["scheduler", "search", "browser", "retrieval", "code_exec"], "safety_mode": "creative"}
MEANS = {
    "maps": {
        "alignment_risk": {
            "temperature": "min(current, 1 - x)",
            "top_p": "0.9 - 0.5*x*x",
            "safety_mode": "strict if x > 0.5 else balanced if x > 0.2 else current",
            "retrieval_k": {"expression": "9", "combine": "weighted_mean"},
            "tool_allowlist": "current if x < 0.4 else [browser]",
        },
        "stress": {"temperature": "0.9 if alignment_risk < 0.3 else 0.5", "planner_beam": "min(current, 3)"},
        "ambiguity": {"temperature": {"expression": "x", "combine": "weighted_mean"}, "retrieval_k": 2},
        "novelty": {
            "temperature": {"expression": "1 - 0.5*alignment_risk", "combine": "weighted_mean"},
            "tool_allowlist": "[browser, search, retrieval] if alignment_risk < 0.5 else [retrieval]",
            "safety_mode": "creative if alignment_risk < 0.7 else current",
        },
        "trust": {"planner_beam": {"expression": "round(6*x)", "combine": "tightest"}},
    }
}


def policies(policy_with):
    partials = [{"flags": flags} for flags in FLAGS]
    partials += [{"defaults": EVERYTHING, "flags": flags} for flags in FLAGS]
    partials += [MEANS, {**MEANS, "defaults": EVERYTHING}]
    partials += [{"bounds": {"temperature": [0.5, 0.7], "safety_mode": ["strict", "creative"]}, "defaults": EVERYTHING}]
    return [policy_with(partial) for partial in partials]


def within_bounds(policy, parameters):
    for name, parameter in PARAMETERS.items():
        value, given_bounds = parameters[name], getattr(policy.document.bounds, name)
        if parameter.kind == "tools":
            assert set(value) <= set(given_bounds)
            assert len(set(value)) == len(value)
        elif parameter.kind == "mode":
            assert value in given_bounds
        else:
            assert given_bounds[0] <= value <= given_bounds[1]
            assert type(value) is (int if parameter.kind == "whole" else float)


def loosened(before, after, names):
    return [name for name in names if PARAMETERS[name].loosens(before[name], after[name])]


SAFETY = [name for name, parameter in PARAMETERS.items() if parameter.safety]


class TestInvariants:
    """Over several policies: shipped, with flags, with everything allowed, with other maps and ways to combine."""

    def test_raising_alignment_risk_never_loosens_anything(self, policy_with):
        every = policies(policy_with)

        @settings(max_examples=examples(400), deadline=None)
        @given(st.sampled_from(every), levels, level, level, st.booleans(), styles, incident)
        def check(policy, others, low, high, absent, style, tightened):
            low, high = sorted([low, high])
            before = {name: value for name, value in others.items() if name != "alignment_risk"}
            if not absent:
                before["alignment_risk"] = low
            calmer = settle(policy, before, style, Hold(tightened)).parameters
            riskier = settle(policy, {**before, "alignment_risk": high}, style, Hold(tightened)).parameters
            assert loosened(calmer, riskier, SAFETY) == []

        check()

    def test_feedback_never_reaches_mode_or_tools_nor_loosens_a_strict_turn(self, policy_with):
        every = policies(policy_with)

        @settings(max_examples=examples(400), deadline=None)
        @given(st.sampled_from(every), levels, styles, incident)
        def check(policy, used, style, tightened):
            plain = settle(policy, used, Style(locked=style.locked), Hold(tightened))
            nudged = settle(policy, used, style, Hold(tightened))
            for name in ("safety_mode", "tool_allowlist"):
                assert nudged.parameters[name] == plain.parameters[name]
                assert nudged.lineage[name] == plain.lineage[name]
            if plain.parameters["safety_mode"] == "strict":
                assert loosened(plain.parameters, nudged.parameters, SAFETY) == []
                assert nudged.parameters["memory_write"] <= plain.parameters["memory_write"]

        check()

    def test_the_output_is_within_bounds_and_strict_means_the_strict_allowlist(self, policy_with):
        every = policies(policy_with)

        @settings(max_examples=examples(400), deadline=None)
        @given(st.sampled_from(every), levels, styles, incident)
        def check(policy, used, style, tightened):
            settled = settle(policy, used, style, Hold(tightened))
            within_bounds(policy, settled.parameters)
            strict = settled.parameters["safety_mode"] == "strict"
            assert strict or not (style.locked or tightened or policy.document.flags.STRICT_DEFAULT)
            assert not strict or set(settled.parameters["tool_allowlist"]) <= {"retrieval"}
            off = {tool for tool, _ in policy.switched_off}
            assert not off & set(settled.parameters["tool_allowlist"])
            again = settle(policy, dict(reversed(list(used.items()))), style, Hold(tightened))
            assert orjson.dumps([*again]) == orjson.dumps([*settled])

        check()

    def test_a_tightening_signal_never_loosens_what_it_finds(self, policy_with):
        every = policies(policy_with)

        @settings(max_examples=examples(300), deadline=None)
        @given(st.sampled_from(every), levels, st.sampled_from(["stress", "stabilize"]), level)
        def check(policy, others, name, high):
            # presence of a signal is what is compared; maps that read its level are of alignment_risk only
            before = {other: value for other, value in others.items() if other != name}
            plain = settle(policy, before, Style(), Hold()).parameters
            signalled = settle(policy, {**before, name: high}, Style(), Hold()).parameters
            assert loosened(plain, signalled, SAFETY) == []

        check()


signal = st.fixed_dictionaries(
    {
        "name": st.sampled_from([name for name in NAMES if name != "stabilize"]),
        "level": st.one_of(level, st.floats(-2, 3)),
        "ttl_ms": st.sampled_from([0, 500, 5000]),
        "source": st.sampled_from(["a", "b"]),
        "audit_id": st.sampled_from([None, "t1", "t2"]),
    }
)


def test_signals_of_equal_time_give_the_same_modulation_in_any_order_of_arrival(new_life):
    @settings(max_examples=examples(80), deadline=None)
    @given(st.lists(signal, max_size=8), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.4, 3.0]))
    def check(signals, random, later):
        shuffled = list(signals)
        random.shuffle(shuffled)
        records = []
        for order in (signals, shuffled):
            life = new_life()
            for ts in (999.0, 1000.0):
                for one in order:
                    life.signal(**one, ts=ts)
            records.append(life.open(ts=1000.0 + later))
        assert records[0]["parameters"] == records[1]["parameters"]
        assert records[0]["lineage"] == records[1]["lineage"]
        assert orjson.dumps(records[0]["signals"]) == orjson.dumps(records[1]["signals"])

    check()


step = st.one_of(
    st.tuples(st.just("signal"), signal, st.floats(0, 3)),
    st.tuples(
        st.just("open"), st.sampled_from(["t1", "t2", "t3", "t4"]), levels.map(lambda one: {**one}), st.floats(0, 3)
    ),
    st.tuples(st.just("close"), st.sampled_from(["t1", "t2", "t3"])),
    st.tuples(st.just("block"), st.sampled_from(["t1", "t2", "t3"])),
    st.tuples(st.just("style"), delta, delta, st.floats(0, 0.2), st.booleans()),
    st.tuples(st.just("cap"), st.integers(0, 3)),
)


def live(life, steps):
    """The records of a history; each turn is opened once at most."""
    now, opened, records = 1000.0, set(), []
    for kind, *values in steps:
        if kind == "signal":
            now += values[1]
            records += life.signal(**values[0], ts=now)
        elif kind == "open" and values[0] not in opened:
            now += values[2]
            opened.add(values[0])
            signals = {name: one for name, one in values[1].items() if name != "stabilize"}
            records.append(life.open(values[0], ts=now, signals=signals))
        elif kind == "close":
            life.close(values[0], ts=now)
        elif kind == "block":
            records += life.block(values[0], ts=now)
        elif kind == "style":
            life.style(*values, ts=now)
        elif kind == "cap":
            life.cap(values[0], ts=now)
    return records


def test_any_history_gives_valid_records_in_order_and_the_same_bytes_again(new_life):
    @settings(max_examples=examples(120), deadline=None)
    @given(st.lists(step, max_size=25))
    def check(steps):
        life, again = new_life(), new_life()
        records = live(life, steps)
        assert orjson.dumps(records) == orjson.dumps(live(again, steps))
        assert orjson.dumps(life.state) == orjson.dumps(again.state)
        revisions: dict[str, list[dict]] = {}
        for record in records:
            within_bounds(life.policy, record["parameters"])
            revisions.setdefault(record["audit_id"], []).append(record)
        for of_turn in revisions.values():
            assert [record["revision"] for record in of_turn] == list(range(len(of_turn)))
            for before, after in itertools.pairwise(of_turn):
                assert before["parameters"] != after["parameters"]
                assert before["admitted"] == after["admitted"]
            tightened = [
                any(one["step"] == "tighten" for one in record["lineage"]["safety_mode"]) for record in of_turn
            ]
            assert all(
                MODES.index(record["mode"]) == 0
                for record, is_tight in zip(of_turn, tightened, strict=True)
                if is_tight
            )

    check()
