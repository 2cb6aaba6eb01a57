"""No test waits for a time that was guessed: it waits for a condition (`waiting`), or its reason is listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
FOLDERS = ("unit", "contract", "support", "dst", "clients")
ALLOWED = {
    "contract/test_chat_command.py:test_ctrl_c_ends_the_demo_and_all_it_started": "the moment is what is tried",
    "contract/test_faust_traps.py:test_offsets_are_never_committed_past_what_is_remembered": "time for more commits",
    "contract/test_tool_executor.py:feed": "paces the feed, so that kills fall between its calls",
    "contract/test_local_stack.py:never": "stands for a server that never answers; it is cancelled",
}
"""File and function to the reason. The tools of chaos, fuzz and load sleep by their schedules, and are not tests."""


def fixed_sleeps(source: str) -> Iterator[tuple[str, int]]:
    """(function, line) of each sleep of a positive constant that is not the pause of a `while` loop."""
    yield from _within(ast.parse(source), "", looped=False)


def _within(node: ast.AST, function: str, *, looped: bool) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(child, child.name, looped=False)
        else:
            if isinstance(child, ast.Call) and not looped and _is_fixed(child):
                yield function, child.lineno
            yield from _within(child, function, looped=looped or isinstance(child, ast.While))


def _is_fixed(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name != "sleep" or not call.args:
        return False
    value = call.args[0]
    if isinstance(value, ast.Constant):
        return isinstance(value.value, int | float) and value.value > 0
    return isinstance(value, ast.Name) and value.id.isupper()


def test_no_test_sleeps_for_a_time_that_was_guessed() -> None:
    found = {
        f"{path.relative_to(TESTS)}:{function}"
        for folder in FOLDERS
        for path in (TESTS / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for function, _ in fixed_sleeps(path.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("statement", "fixed"),
    [
        ("await asyncio.sleep(0.5)", True),
        ("time.sleep(PAUSE_S)", True),
        ("for _ in range(3): time.sleep(1)", True),
        ("await asyncio.sleep(0)", False),
        ("await asyncio.sleep(pause_s)", False),
        ("while not done(): await asyncio.sleep(0.5)", False),
    ],
)
def test_a_pause_between_looks_is_no_fixed_sleep(statement: str, fixed: bool) -> None:
    assert bool(list(fixed_sleeps(f"async def test():\n    {statement}"))) is fixed
