"""The expressions of the maps: checked against a whitelist, then compiled once to closures.

What one may contain: numbers, `x`, `current`, names of signals, words (modes and tools) bare or quoted, lists of
tools, `+ - * /`, `min max round`, comparisons, `and or not`, one-line conditionals. `0.85x` means `0.85*x`, as the
rules write it. Everything else is refused here, when the policy loads. While the tree is walked the kind and range
of each part is worked out, so that at run time nothing can fail, divide by zero or leave its type, for any levels.

simpleeval would take 10 to 20 microseconds an expression and up to a dozen are evaluated per turn; a closure takes
well under one. The unit tests hold the closures to simpleeval's results.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from endocrine.agents.policy.errors import shown

MAX_LENGTH = 200
"""Characters. The longest shipped expression has 61."""
MAX_DEPTH = 16
"""Nested parts. The deepest shipped expression has 5; far below what could trouble Python's parser."""
MAX_NUMBER = 1e9
"""Largest magnitude that may arise; keeps every part finite and exact enough."""

Evaluate = Callable[[float, Any, Mapping[str, float]], Any]
"""(x, current, level of each signal, 0 when absent) -> value."""


class Shape(NamedTuple):
    """What a part of an expression gives, whatever the levels."""

    kind: str
    """number, word, tools or truth."""
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    words: frozenset[str] = frozenset()
    """The words it may give, or the tools its lists may hold."""


class Part(NamedTuple):
    """A part of an expression, compiled."""

    shape: Shape
    evaluate: Evaluate


class Expression(NamedTuple):
    """A compiled expression."""

    text: str
    shape: Shape
    evaluate: Evaluate
    names: frozenset[str]
    """Names it reads: `x`, `current`, signals."""


class ExpressionError(Exception):
    """An expression that is refused: the offending text, what is wrong with it, what was expected."""

    def __init__(self, text: str, wrong: str, expected: str) -> None:
        super().__init__(f"{shown(text)}: {wrong}, expected {expected}")
        self.text, self.wrong, self.expected = text, wrong, expected


_PRODUCT = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)x\b")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ALLOWED = (
    "numbers, x, current, signals, modes, tools, lists of tools,"
    " + - * /, min max round, comparisons, and/or/not, if/else"
)


@lru_cache(maxsize=1024)
def compile_expression(text: str, current: Shape, signals: frozenset[str], words: frozenset[str]) -> Expression:
    """Check and compile one expression.

    current: what the value so far may be. signals: names of levels. words: names that are their own
    value. Raises ExpressionError, which names the offending text.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, f"{len(text)} characters long", f"at most {MAX_LENGTH}")
    if "\\" in text:
        raise ExpressionError(text, "a backslash is not allowed", _ALLOWED)
    source = _PRODUCT.sub(r"(\1*x)", text.strip())
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or "too deeply nested"
        raise ExpressionError(text, f"cannot be read ({reason})", "an expression such as 1 - 0.85*x") from None
    part = _Compiler(source, current, signals, words).part(tree, 0)
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Expression(text, part.shape, part.evaluate, names & (signals | {"x", "current"}))


class _Compiler:
    """Walks one tree. Each method returns a compiled part with its shape."""

    def __init__(self, source: str, current: Shape, signals: frozenset[str], words: frozenset[str]) -> None:
        self.source, self.current, self.signals, self.words = source, current, signals, words

    def refuse(self, node: ast.AST, wrong: str, expected: str) -> ExpressionError:
        text = ast.get_source_segment(self.source, node) or self.source
        return ExpressionError(text, wrong, expected)

    def part(self, node: ast.AST, depth: int) -> Part:
        if depth > MAX_DEPTH:
            raise self.refuse(node, "too deeply nested", f"at most {MAX_DEPTH} levels")
        method = getattr(self, f"of_{type(node).__name__}", None)
        if method is None:
            raise self.refuse(node, f"{_name_of(node)} is not allowed", _ALLOWED)
        part: Part = method(node, depth + 1)
        if part.shape.kind == "number" and max(abs(part.shape.low), abs(part.shape.high)) > MAX_NUMBER:
            raise self.refuse(node, "the number is too large", f"at most {MAX_NUMBER:g}")
        return part

    def number(self, node: ast.AST, depth: int) -> Part:
        part = self.part(node, depth)
        if part.shape.kind != "number":
            raise self.refuse(node, f"gives a {part.shape.kind}", "a number here")
        return part

    def truth(self, node: ast.AST, depth: int) -> Part:
        part = self.part(node, depth)
        if part.shape.kind != "truth":
            raise self.refuse(node, f"gives a {part.shape.kind}", "a condition such as x > 0.3")
        return part

    def of_Constant(self, node: ast.Constant, depth: int) -> Part:
        value = node.value
        if isinstance(value, str):
            return self.word(node, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(node, "this constant is not allowed", "a number or a word")
        if abs(value) > MAX_NUMBER:
            raise self.refuse(node, "the number is too large", f"at most {MAX_NUMBER:g}")
        return Part(Shape("number", value, value, isinstance(value, int)), lambda x, current, levels: value)

    def of_Name(self, node: ast.Name, depth: int) -> Part:
        name = node.id
        if name == "x":
            return Part(Shape("number", 0.0, 1.0), lambda x, current, levels: x)
        if name == "current":
            return Part(self.current, lambda x, current, levels: current)
        if name in self.signals:
            return Part(Shape("number", 0.0, 1.0), lambda x, current, levels: levels[name])
        return self.word(node, name)

    def word(self, node: ast.AST, word: str) -> Part:
        if word not in self.words:
            known = ", ".join(["x", "current", *sorted(self.signals), *sorted(self.words)])
            raise self.refuse(node, f"unknown name {word!r}", f"one of {known}")
        return Part(Shape("word", words=frozenset([word])), lambda x, current, levels: word)

    def of_List(self, node: ast.List, depth: int) -> Part:
        names: list[str] = []
        for element in node.elts:
            part = self.part(element, depth)
            if part.shape.kind != "word" or len(part.shape.words) != 1:
                raise self.refuse(element, "not the name of a tool", "a list of tools such as [retrieval, browser]")
            names.extend(name for name in part.shape.words if name not in names)
        return Part(Shape("tools", words=frozenset(names)), lambda x, current, levels: names)

    def of_UnaryOp(self, node: ast.UnaryOp, depth: int) -> Part:
        if isinstance(node.op, ast.Not):
            inner = self.truth(node.operand, depth).evaluate
            return Part(Shape("truth"), lambda x, current, levels: not inner(x, current, levels))
        shape, plain = self.number(node.operand, depth)
        if isinstance(node.op, ast.UAdd):
            return Part(shape, plain)
        if not isinstance(node.op, ast.USub):
            raise self.refuse(node, f"{_name_of(node.op)} is not allowed", _ALLOWED)
        negative = Shape("number", -shape.high, -shape.low, shape.whole)
        return Part(negative, lambda x, current, levels: -plain(x, current, levels))

    def of_BinOp(self, node: ast.BinOp, depth: int) -> Part:
        operate = _OPERATORS.get(type(node.op))
        if operate is None:
            raise self.refuse(node, f"{_name_of(node.op)} is not allowed", _ALLOWED)
        (a, left), (b, right) = self.number(node.left, depth), self.number(node.right, depth)
        division = isinstance(node.op, ast.Div)
        if division and b.low <= 0 <= b.high:
            raise self.refuse(node, "may divide by zero", "a divisor that is never 0, such as max(0.1, x)")
        if isinstance(node.op, ast.Add):
            low, high = a.low + b.low, a.high + b.high
        elif isinstance(node.op, ast.Sub):
            low, high = a.low - b.high, a.high - b.low
        else:
            corners = [operate(p, q) for p in (a.low, a.high) for q in (b.low, b.high)]
            low, high = min(corners), max(corners)
        shape = Shape("number", low, high, a.whole and b.whole and not division)
        return Part(shape, lambda x, current, levels: operate(left(x, current, levels), right(x, current, levels)))

    def of_Call(self, node: ast.Call, depth: int) -> Part:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in ("min", "max", "round") or node.keywords:
            raise self.refuse(node, "this call is not allowed", "min(a, b), max(a, b) or round(a)")
        parts = [self.number(argument, depth) for argument in node.args]
        if name == "round":
            if len(parts) != 1:
                raise self.refuse(node, f"round has {len(parts)} arguments", "one")
            shape, plain = parts[0]
            whole = Shape("number", round(shape.low), round(shape.high), True)
            return Part(whole, lambda x, current, levels: round(plain(x, current, levels)))
        if len(parts) < 2:
            raise self.refuse(node, f"{name} has {len(parts)} argument(s)", "two or more")
        choose: Callable[..., Any] = min if name == "min" else max
        shape = Shape(
            "number",
            choose(part.shape.low for part in parts),
            choose(part.shape.high for part in parts),
            all(part.shape.whole for part in parts),
        )
        if len(parts) == 2:
            first, second = parts[0].evaluate, parts[1].evaluate
            return Part(shape, lambda x, current, levels: choose(first(x, current, levels), second(x, current, levels)))
        every = [part.evaluate for part in parts]
        return Part(shape, lambda x, current, levels: choose([one(x, current, levels) for one in every]))

    def of_Compare(self, node: ast.Compare, depth: int) -> Part:
        parts = [self.part(part, depth) for part in (node.left, *node.comparators)]
        tests: list[tuple[Callable[[Any, Any], bool], Evaluate, Evaluate]] = []
        for op, left, right in zip(node.ops, parts, parts[1:], strict=False):
            compare = _COMPARISONS.get(type(op))
            if compare is None:
                raise self.refuse(node, f"{_name_of(op)} is not allowed", "one of < <= > >= == !=")
            kinds = {left.shape.kind, right.shape.kind}
            if kinds != {"number"} and (kinds != {"word"} or not isinstance(op, ast.Eq | ast.NotEq)):
                raise self.refuse(node, f"compares {left.shape.kind} with {right.shape.kind}", "numbers on both sides")
            tests.append((compare, left.evaluate, right.evaluate))
        if len(tests) == 1:
            compare, one, other = tests[0]
            return Part(
                Shape("truth"), lambda x, current, levels: compare(one(x, current, levels), other(x, current, levels))
            )
        return Part(
            Shape("truth"),
            lambda x, current, levels: all(
                compare(one(x, current, levels), other(x, current, levels)) for compare, one, other in tests
            ),
        )

    def of_BoolOp(self, node: ast.BoolOp, depth: int) -> Part:
        every = [self.truth(value, depth).evaluate for value in node.values]
        combine: Callable[..., bool] = all if isinstance(node.op, ast.And) else any
        return Part(Shape("truth"), lambda x, current, levels: combine(one(x, current, levels) for one in every))

    def of_IfExp(self, node: ast.IfExp, depth: int) -> Part:
        test = self.truth(node.test, depth).evaluate
        (a, then), (b, otherwise) = self.part(node.body, depth), self.part(node.orelse, depth)
        if a.kind != b.kind:
            raise self.refuse(node, f"gives a {a.kind} or a {b.kind}", "the same kind on both sides of else")
        shape = Shape(a.kind, min(a.low, b.low), max(a.high, b.high), a.whole and b.whole, a.words | b.words)
        return Part(
            shape,
            lambda x, current, levels: (
                then(x, current, levels) if test(x, current, levels) else otherwise(x, current, levels)
            ),
        )


def _name_of(node: ast.AST) -> str:
    """The construct's name, for people."""
    names = {
        "Pow": "**", "JoinedStr": "an f-string", "Lambda": "a lambda", "Attribute": "attribute access",
        "ListComp": "a comprehension", "SetComp": "a comprehension", "DictComp": "a comprehension",
        "GeneratorExp": "a comprehension", "NamedExpr": "an assignment", "Subscript": "an index",
        "FloorDiv": "//", "Mod": "%", "BitXor": "^", "In": "in", "NotIn": "not in", "Is": "is", "IsNot": "is not",
    }  # fmt: skip
    return names.get(type(node).__name__, type(node).__name__)
