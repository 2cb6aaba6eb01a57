"""What is wrong with a value, for a person: field, problem, what was found. Text is never quoted: it may be private."""

from typing import Any

from pydantic import ValidationError

from endocrine.pipeline.data.ingest.values import kind_of

SHOWN_ERRORS = 3


def explain(error: ValidationError, root: str = "value") -> str:
    """Return the first few problems of a validation, as `value.rating: Input should be ... (found 7)`."""
    problems = error.errors(include_url=False)
    shown = [
        f"{_field(root, problem['loc'])}: {problem['msg']}{_found(problem)}" for problem in problems[:SHOWN_ERRORS]
    ]
    more = len(problems) - SHOWN_ERRORS
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _field(root: str, location: tuple[int | str, ...]) -> str:
    return ".".join([root, *map(str, location)])


def _found(problem: Any) -> str:
    found = problem["input"]
    if problem["type"] == "missing":
        return ""
    if isinstance(found, bool | int | float) or found is None:
        return f" (found {found})"
    return f" (found {kind_of(found)} of length {len(found)})" if hasattr(found, "__len__") else ""
