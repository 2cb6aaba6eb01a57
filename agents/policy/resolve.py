"""Laying a partial policy over a whole one (rules, section 2)."""

from collections.abc import Mapping
from typing import Any

from endocrine.agents.policy.errors import Mistake, shown
from endocrine.agents.policy.parameters import SIGNALS

_TOOL_DEPTH = 2
"""A tool's fields are entries; its JSON Schema is one value: half of two schemas would be neither."""


def lay_over(whole: Mapping[str, Any], partial: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the whole with the partial laid over it, and what is wrong with the partial's list of signals.

    Entries left out keep their value; `maps`, when given, replaces all maps; lists are replaced; signals go by
    their name. Unknown sections and keys are laid in as they are: `compile_policy` refuses them by name.
    """
    result, errors = dict(whole), []
    for section, value in partial.items():
        if section == "signals":
            result[section], found = _signals(whole.get(section, []), value)
            errors.extend(found)
        elif section == "maps":
            result[section] = value
        else:
            result[section] = _merged(whole.get(section), value, _TOOL_DEPTH if section == "tools" else None)
    return result, errors


def _merged(whole: Any, partial: Any, depth: int | None) -> Any:
    if not isinstance(whole, Mapping) or not isinstance(partial, Mapping) or depth == 0:
        return partial
    result = dict(whole)
    for key, value in partial.items():
        result[key] = _merged(whole[key], value, depth and depth - 1) if key in whole else value
    return result


def _signals(whole: list[dict[str, Any]], partial: Any) -> tuple[list[dict[str, Any]], list[Mistake]]:
    if not isinstance(partial, list):
        wrong = "not a list"
        return whole, [
            Mistake(("signals",), shown(partial), wrong, "a list of {name, weight, cooldown_ms, precedence}")
        ]
    result = {entry["name"]: entry for entry in whole}
    errors, seen = [], set()
    for number, entry in enumerate(partial):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        path = ("signals", name if isinstance(name, str) else str(number))
        if not isinstance(entry, Mapping) or "name" not in entry:
            expected = "a mapping {name, weight, cooldown_ms, precedence}, with a space after each colon"
            errors.append(Mistake(path, shown(entry), "not an entry of a signal", expected))
        elif name not in SIGNALS:
            errors.append(Mistake(path, shown(name), "unknown signal", f"one of {', '.join(SIGNALS)}"))
        elif name in seen:
            errors.append(Mistake(path, shown(name), "the signal is listed twice", "one entry per signal"))
        else:
            seen.add(name)
            result[name] = {**result.get(name, {}), **entry}
    return list(result.values()), errors
