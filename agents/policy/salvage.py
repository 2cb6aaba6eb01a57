"""What is left of a malformed section, so that the mistakes beside the malformed ones are found in the same run."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from endocrine.agents.policy.errors import Mistake, of_validation, place

_ROUNDS = 8
"""Repairs of one section, at most; then the valid one takes its place whole."""

Path = tuple[str, ...]


class Salvaged(NamedTuple):
    """A section that is valid once more."""

    value: Any
    """None: nothing is known of it."""
    errors: list[Mistake]
    doubtful: frozenset[Path]
    """What was replaced or left out. Nothing that depends on it may be called a mistake."""


def salvage(name: str, adapter: TypeAdapter[Any], given: Any, valid: Any) -> Salvaged:
    """Put the valid document's value wherever `given` is malformed; leave out entries that the valid one lacks.

    valid: the section of a valid document; None: there is no such section, and a malformed section is given up.
    """
    errors: list[Mistake] = []
    doubtful: set[Path] = set()
    section = given
    for _ in range(_ROUNDS):
        try:
            return Salvaged(adapter.validate_python(section), errors, frozenset(doubtful))
        except ValidationError as error:
            # A contradiction within what was repaired may be of our own making.
            found = [one for one in of_validation(name, error, section) if not touches(one.path, doubtful)]
            errors += found
            if valid is None:
                return Salvaged(None, errors, frozenset({(name,), *(one.path for one in found)}))
            section = deepcopy(section)
            gone: list[tuple[Any, Any]] = []
            for detail in error.errors(include_url=False, include_context=False, include_input=False):
                steps = _steps(detail["loc"], section)
                doubtful.add((name, *place(steps, section)))
                section = _repaired(section, valid, steps, gone)
            for container, step in sorted(gone, key=lambda one: one[1] if isinstance(one[1], int) else 0, reverse=True):
                if isinstance(container, list) or step in container:
                    del container[step]
    return Salvaged(None if valid is None else adapter.validate_python(valid), errors, frozenset({(name,)}))


def touches(path: Sequence[str], doubtful: frozenset[Path] | set[Path]) -> bool:
    """Return whether a place lies above, below or at one that is doubtful."""
    return any(tuple(path[: len(one)]) == one[: len(path)] for one in doubtful)


def _steps(loc: Sequence[int | str], value: Any) -> list[Any]:
    """The place within the section, without pydantic's own marks; a key that is missing comes last."""
    steps: list[Any] = []
    for step in loc:
        if _has(value, step):
            value = value[step]
        elif not isinstance(value, Mapping) or step == "[key]" or step != loc[-1]:
            continue
        steps.append(step)
    return steps


def _has(value: Any, step: Any) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _repaired(section: Any, valid: Any, steps: Sequence[Any], gone: list[tuple[Any, Any]]) -> Any:
    """The section with the valid value at `steps`; what the valid one lacks is noted in `gone`, to be taken out."""
    if not steps:
        return deepcopy(valid)
    here, there = section, valid
    for number, step in enumerate(steps):
        inner = _get(there, step, _get(here, step))
        last = number == len(steps) - 1
        if inner is None:
            if (here, step) not in gone:
                gone.append((here, step))
            return section
        if last or not isinstance(_get(here, step), (dict, list)):
            here[step] = deepcopy(inner)
            return section
        here, there = here[step], inner
    return section


def _get(container: Any, step: Any, like: Any = None) -> Any:
    """An entry, None where it is missing. An entry of a list goes by the name that `like` has."""
    if isinstance(container, Mapping):
        return container.get(step)
    if not isinstance(container, list):
        return None
    if isinstance(like, Mapping) and "name" in like:
        return next((one for one in container if isinstance(one, Mapping) and one.get("name") == like["name"]), None)
    return container[step] if like is None and isinstance(step, int) and step < len(container) else None
