"""What sections must agree on with one another, each valid by itself."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from endocrine.agents.policy.errors import Mistake, shown
from endocrine.agents.policy.parameters import MODES, PARAMETERS, SIGNALS
from endocrine.agents.policy.salvage import Path, touches
from endocrine.agents.policy.sections import Bounds, Defaults, Flags

RESERVED = frozenset(
    {*MODES, *SIGNALS, "x", "current", "min", "max", "round", "and", "or", "not", "if", "else", "in", "is"}
)
"""Words that mean something else in the expressions of maps: no tool may be called so."""
_FLAG = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def cross_checks(
    sections: Mapping[str, Any], given: Mapping[str, Any], doubtful: frozenset[Path] = frozenset()
) -> Iterator[Mistake]:
    """Yield mistakes between sections; those that are missing here were malformed and are reported already.

    given: the sections as they were given, malformed entries too. doubtful: places where a valid value replaces a
    malformed one; nothing that depends on them is called a mistake.
    """
    registry = frozenset(names_given(given, "tools"))
    if "tools" in sections:
        registry |= sections["tools"].names
        yield from _unknown_tools(given, registry, doubtful)
    for mistake in _agreements(sections, given, registry, doubtful):
        if not touches(mistake.path, doubtful):
            yield mistake


def names_given(given: Mapping[str, Any], section: str) -> list[str]:
    """Return names of a section's entries, malformed ones too."""
    return _strings(given.get(section))


def _strings(found: Any) -> list[str]:
    return [name for name in found if isinstance(name, str)] if isinstance(found, Mapping) else []


def _unknown_tools(given: Mapping[str, Any], registry: frozenset[str], doubtful: frozenset[Path]) -> Iterator[Mistake]:
    """Of the sections as they were given: a name is unknown whatever is malformed around it."""
    for path in (("bounds", "tool_allowlist"), ("defaults", "tool_allowlist"), ("strict_allowlist",)):
        listed = [tool for number, tool in enumerate(_at(given, path)) if (*path, str(number)) not in doubtful]
        yield from _known(path, listed, registry)
    for tool in _strings(_at_key(given, ("gating", "rate_limits", "tools"))):
        limit = ("gating", "rate_limits", "tools", tool)
        if limit not in doubtful:
            yield from _known(limit, [tool], registry)
    for number, rule in enumerate(_at(given, ("gating", "sequences"))):
        name = rule.get("name") if isinstance(rule, Mapping) else None
        for part in ("first", "then"):
            place = ("gating", "sequences", name if isinstance(name, str) else str(number), part, "tool")
            if place not in doubtful:
                yield from _known(place, [_at_key(rule, (part, "tool"))], registry)


def _at(given: Any, path: Sequence[str]) -> Sequence[Any]:
    found = _at_key(given, path)
    return found if isinstance(found, (list, tuple)) else ()


def _at_key(given: Any, path: Sequence[str]) -> Any:
    for step in path:
        given = given.get(step) if isinstance(given, Mapping) else None
    return given


def _agreements(
    sections: Mapping[str, Any], given: Mapping[str, Any], registry: frozenset[str], doubtful: frozenset[Path]
) -> Iterator[Mistake]:
    if "signals" in sections:
        yield from _signals([rule.name for rule in sections["signals"]])
    if "bounds" in sections:
        wrong = list(_bounds(sections["bounds"]))
        yield from wrong
        if "defaults" in sections:
            sound = [name for name in PARAMETERS if name not in {mistake.path[1] for mistake in wrong}]
            sound = [name for name in sound if not touches(("bounds", name), doubtful)]
            if "tools" in sections and not set(sections["defaults"].tool_allowlist) <= registry:
                sound = [name for name in sound if name != "tool_allowlist"]  # reported of the registry below
            yield from _defaults(sections["bounds"], sections["defaults"], sound)
    if "tools" in sections:
        for name in sections["tools"].root:
            if name in RESERVED or keyword.iskeyword(name):
                yield Mistake(("tools", name), shown(name), "the word means something else in maps", "another name")
        if "flags" in sections:
            hung_on = {name: spec.flag for name, spec in sections["tools"].root.items()}
            yield from _flags(sections["flags"].names, names_given(given, "flags"), hung_on, given.get("tools"))
    if "bounds" in sections and not touches(("bounds", "tool_allowlist"), doubtful):
        allowed = sections["bounds"].tool_allowlist
        for tool in sections.get("strict_allowlist", ()):
            if tool not in allowed and ("tools" not in sections or tool in registry):
                expected = f"tools of bounds.tool_allowlist ({', '.join(allowed)})"
                yield Mistake(("strict_allowlist",), shown(tool), "outside the bounds", expected)


def _signals(names: list[str]) -> Iterator[Mistake]:
    for name in SIGNALS:
        if names.count(name) != 1:
            wrong = "listed twice" if name in names else "the signal is missing"
            yield Mistake(("signals", name), shown(name), wrong, "one entry per signal")


def _bounds(bounds: Bounds) -> Iterator[Mistake]:
    for name, parameter in PARAMETERS.items():
        given = getattr(bounds, name)
        path = ("bounds", name)
        if parameter.kind in ("mode", "tools"):
            if len(set(given)) != len(given):
                yield Mistake(path, shown(list(given)), "a value is listed twice", "each value once")
            if parameter.kind == "mode" and "strict" not in given:
                yield Mistake(
                    path, shown(list(given)), "strict is missing", "strict among the modes: it must be reachable"
                )
            continue
        low, high = given
        if not parameter.low <= low <= high <= parameter.high:
            expected = f"[low, high], low not above high, within {parameter.low:g}..{parameter.high:g}"
            yield Mistake(path, shown([low, high]), "not a range within the widest bounds", expected)


def _defaults(bounds: Bounds, defaults: Defaults, names: Iterable[str]) -> Iterator[Mistake]:
    for name in names:
        parameter = PARAMETERS[name]
        value, given = getattr(defaults, name), getattr(bounds, name)
        if parameter.kind == "tools":
            fits = set(value) <= set(given) and len(set(value)) == len(value)
        elif parameter.kind == "mode":
            fits = value in given
        else:
            fits = given[0] <= value <= given[1]
        if not fits:
            text = shown(list(value) if parameter.kind == "tools" else value)
            yield Mistake(("defaults", name), text, f"outside bounds.{name} {list(given)}", "a value within the bounds")


def _flags(
    flags: Iterable[str], given: Iterable[str], hung_on: Mapping[str, str | None], tools: Any
) -> Iterator[Mistake]:
    """given: flags as they were given; tools: the registry as it was given; of what is malformed, names count."""
    known = list(dict.fromkeys([*flags, *given]))
    for tool, flag in hung_on.items():
        if flag is not None and flag not in known:
            yield Mistake(("tools", tool, "flag"), shown(flag), "unknown flag", f"one of {', '.join(known)}")
    entries = tools.values() if isinstance(tools, Mapping) else ()
    named = {*hung_on.values(), *(str(one.get("flag")) for one in entries if isinstance(one, Mapping))}
    for name in flags:
        if name not in Flags.model_fields and (name not in named or not _FLAG.fullmatch(name)):
            expected = f"one of {', '.join(Flags.model_fields)}, or an upper-case name that a tool has as its flag"
            yield Mistake(("flags", name), shown(name), "unknown flag", expected)


def _known(path: tuple[str, ...], tools: Iterable[Any], registry: Iterable[str]) -> Iterator[Mistake]:
    for tool in tools:
        if isinstance(tool, str) and tool not in registry:
            wrong = "the tool registry has no such tool"
            yield Mistake(path, shown(tool), wrong, f"one of {', '.join(sorted(registry))}")
