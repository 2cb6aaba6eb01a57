"""Expressions: what loads, what it gives, what is refused (rules, section 2)."""

import pytest
import simpleeval
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.policy.expressions import MAX_LENGTH, ExpressionError, Shape, compile_expression
from endocrine.agents.policy.parameters import MODES, SIGNALS
from properties import examples

TOOLS = ("search", "code_exec", "browser", "retrieval", "scheduler")
WORDS = frozenset(MODES) | frozenset(TOOLS)
NUMBER = Shape("number", 0.0, 1.0)
MODE = Shape("word", words=frozenset(MODES))
ABSENT = dict.fromkeys(SIGNALS, 0.0)


def give(text, x=0.0, current=0.5, shape=NUMBER, **levels):
    expression = compile_expression(text, shape, frozenset(SIGNALS), WORDS)
    return expression.evaluate(x, current, {**ABSENT, **levels})


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("1 - 0.85x", 0.5, 0.575),
        ("1 - 0.85*x", 0.5, 0.575),
        ("max(0.2, 1 - 0.8x)", 1.0, 0.2),
        ("round(1400 - 600x)", 0.25, 1250),
        ("max(1, round(6 - 4x))", 0.625, 4),
        ("min(10, 6 + round(3x))", 0.5, 8),
        ("-x + 1", 0.25, 0.75),
        ("x / 2", 0.5, 0.25),
        ("0.5", 0.9, 0.5),
        (".5x", 0.5, 0.25),
    ],
)
def test_an_expression_of_the_rules_gives_its_number(text, x, expected):
    assert give(text, x) == pytest.approx(expected, abs=1e-12)


def test_rounding_is_half_to_even():
    assert (give("round(5*x)", 0.5), give("round(3*x)", 0.5)) == (2, 2)


def test_bare_words_are_strings_and_quoted_ones_too():
    assert give("strict if x > 0.3 else balanced", 0.31) == "strict"
    assert give("'strict' if x > 0.3 else \"balanced\"", 0.3) == "balanced"


def test_a_list_literal_gives_its_tools():
    text = "[retrieval] if x > 0.7 else [retrieval, browser]"
    assert (give(text, 0.71), give(text, 0.7)) == (["retrieval"], ["retrieval", "browser"])


def test_a_trailing_current_is_the_value_so_far_and_not_a_word():
    text = "creative if x > 0.8 and alignment_risk < 0.1 else current"
    assert give(text, 0.9, "balanced", MODE) == "creative"
    assert give(text, 0.9, "balanced", MODE, alignment_risk=0.1) == "balanced"
    assert give(text, 0.8, "strict", MODE) == "strict"


def test_another_signal_is_its_level_and_zero_when_absent():
    assert give("x + stress", 0.25) == 0.25
    assert give("x + stress", 0.25, stress=0.5) == 0.75


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 if 0.1 < x < stress else 0", [0, 1, 0, 0]),
        ("1 if x <= current <= stress else 0", [1, 1, 0, 0]),
        ("1 if x == 0.25 else 0", [0, 1, 0, 0]),
        ("1 if x != 0.25 else 0", [1, 0, 1, 1]),
        ("1 if not x > 0.25 else 0", [1, 1, 0, 0]),
        ("1 if x > 0.25 or stress < 0.75 else 0", [0, 0, 1, 1]),
        ("1 if x > 0.25 and stress < 0.75 else 0", [0, 0, 0, 1]),
        ("x if x > current else stress if stress > current else current", [0.75, 0.75, 0.75, 1.0]),
        ("+x - -stress", [0.75, 1.0, 1.5, 1.5]),
        ("current * x - stress / 0.5", [-1.5, -1.375, -1.125, -0.5]),
    ],
)
def test_each_part_sees_the_level_the_value_so_far_and_the_other_levels(text, expected):
    worlds = [(0.0, 0.75), (0.25, 0.75), (0.75, 0.75), (1.0, 0.5)]
    assert [give(text, x, 0.5, stress=stress) for x, stress in worlds] == expected


@pytest.mark.parametrize(
    ("text", "offending"),
    [
        ("x.__class__", "x.__class__"),
        ("0.5 + x.real", "x.real"),
        ("__import__('os')", "__import__('os')"),
        ("abs(x)", "abs(x)"),
        ("min.__call__(1, 2)", "min.__call__(1, 2)"),
        ("[i for i in x]", "[i for i in x]"),
        ("(lambda: 1)()", "(lambda: 1)()"),
        ("f'{x}'", "f'{x}'"),
        ("9**9**9", "9**9**9"),
        ("2 ** x", "2 ** x"),
        ("x // 2", "x // 2"),
        ("x % 2", "x % 2"),
        ("x << 2", "x << 2"),
        ("(y := 1)", "y := 1"),
        ("[retrieval][0]", "[retrieval][0]"),
        ("{1: 2}", "{1: 2}"),
        ("(1, 2)", "(1, 2)"),
        ("True", "True"),
        ("None", "None"),
        ("1j", "1j"),
        ("1e999", "1e999"),
        ("min(*[1, 2])", "*[1, 2]"),
        ("round(x, ndigits=2)", "round(x, ndigits=2)"),
        ("round(x, 2)", "round(x, 2)"),
        ("min(x)", "min(x)"),
        ("temprature", "temprature"),
        ("x and 1", "x"),
        ("0.1 if x else 0.2", "x"),
        ("strict + 1", "strict"),
        ("[1]", "1"),
        ("x in [retrieval]", "x in [retrieval]"),
        ("x is 1", "x is 1"),
        ("strict < balanced", "strict < balanced"),
        ("1 if x > 0.5 else strict", "1 if x > 0.5 else strict"),
        ("1000000 * 1000000", "1000000 * 1000000"),
        ("~x", "~x"),
        ("x; x", "x; x"),
        ("", ""),
        ("1 +", "1 +"),
        ("x\x00", "x\x00"),
    ],
)
def test_what_is_not_on_the_whitelist_is_refused_naming_the_offending_text(text, offending):
    with pytest.raises(ExpressionError) as error:
        give(text)
    assert error.value.text == offending


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2 ** x", "**"), ("x // 2", "//"), ("x % 2", "%"), ("x ^ 2", "^"), ("x in [search]", "in"),
        ("x not in [search]", "not in"), ("x is 1", "is"), ("x is not 1", "is not"), ("f'{x}'", "an f-string"),
        ("lambda: 1", "a lambda"), ("x.real", "attribute access"), ("[i for i in x]", "a comprehension"),
        ("{i for i in x}", "a comprehension"), ("{i: 1 for i in x}", "a comprehension"),
        ("(i for i in x)", "a comprehension"), ("(y := 1)", "an assignment"),
        ("[search][0]", "an index"), ("(1, 2)", "Tuple"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_as_people_write_it(text, name):
    with pytest.raises(ExpressionError) as error:
        give(text)
    compared = name in ("in", "not in", "is", "is not")
    assert error.value.wrong == f"{name} is not allowed"
    assert error.value.expected.startswith("one of < <= >" if compared else "numbers, x, current")


@pytest.mark.parametrize("text", ["1 / x", "1 / (x - 0.503)", "1 / stress", "1 / (current - 0.3)", "1 / 0"])
def test_a_division_that_could_meet_zero_off_the_grid_is_refused(text):
    with pytest.raises(ExpressionError, match="may divide by zero"):
        give(text)
    assert give("1 / max(0.5, x)", 0.1) == 2


def test_over_long_and_over_deep_input_is_refused():
    with pytest.raises(ExpressionError, match=f"at most {MAX_LENGTH}"):
        give("1" + " + 1" * MAX_LENGTH)
    with pytest.raises(ExpressionError, match="too deeply nested"):
        give("-" * 40 + "x")
    with pytest.raises(ExpressionError):
        give("(" * 99 + "x" + ")" * 99 + "+")


numbers = st.sampled_from(["0", "1", "0.25", "3", "x", "current", "stress", "trust"])
trees = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        inner.map(lambda t: f"round({t})"),
        st.tuples(inner, st.sampled_from(["<", ">=", "==", "!="]), inner, inner).map(
            lambda t: f"({t[3]} if {t[0]} {t[1]} {t[2]} and not {t[2]} > {t[3]} else {t[0]})"
        ),
    ),
    max_leaves=6,
)
levels = st.floats(0, 1)


def attempt(text):
    """The compiled expression, or None and why it was refused."""
    try:
        return compile_expression(text, NUMBER, frozenset(SIGNALS), WORDS), None
    except ExpressionError as error:
        return None, error


@settings(max_examples=examples(100), deadline=None)
@given(trees, levels, levels, levels)
def test_a_compiled_expression_gives_what_simpleeval_gives_and_stays_in_its_range(text, x, current, stress):
    expression, error = attempt(text)
    if expression is None:
        assert error.wrong.startswith(("too deeply", f"{len(text)} characters", "the number is too large"))
        return
    names = {"x": x, "current": current, **ABSENT, "stress": stress}
    expected = simpleeval.SimpleEval(names=names, functions={"min": min, "max": max, "round": round}).eval(text)
    value = expression.evaluate(x, current, {**ABSENT, "stress": stress})
    assert value == expected
    assert expression.shape.low - 1e-9 <= value <= expression.shape.high + 1e-9
    assert isinstance(value, int) or not expression.shape.whole


@settings(max_examples=examples(120), deadline=None)
@given(st.text(alphabet="x01.+-*/()[]<>=! ,'abceilrstuvd_\n\\{}:", max_size=40))
def test_any_text_either_compiles_or_is_refused_and_never_anything_else(text):
    expression, error = attempt(text)
    if expression is None:
        assert error.wrong
        assert error.expected
    else:
        expression.evaluate(0.5, 0.5, ABSENT)
