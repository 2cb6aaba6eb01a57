"""What sections must agree on with one another, each valid by itself."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agents.gating.rules import GatingRules
from agents.policy.mistakes import Mistake, shown
from agents.policy.parameters import MODES, PARAMETERS, SIGNALS
from agents.policy.sections import Bounds, Defaults, Flags

RESERVED = frozenset(
    {*MODES, *SIGNALS, "x", "current", "min", "max", "round", "and", "or", "not", "if", "else", "in", "is"}
)
"""Words that mean something else in the expressions of maps: no tool may be called so."""
_FLAG = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def cross_checks(sections: Mapping[str, Any]) -> Iterator[Mistake]:
    """Mistakes between the sections given; those that are missing here were malformed and are reported already."""
    if "signals" in sections:
        yield from _signals([rule.name for rule in sections["signals"]])
    if "bounds" in sections:
        wrong = list(_bounds(sections["bounds"]))
        yield from wrong
        if "defaults" in sections:
            sound = [name for name in PARAMETERS if name not in {mistake.path[1] for mistake in wrong}]
            if "tools" in sections and not set(sections["defaults"].tool_allowlist) <= sections["tools"].names:
                sound = [name for name in sound if name != "tool_allowlist"]  # said of the registry below
            yield from _defaults(sections["bounds"], sections["defaults"], sound)
    if "tools" in sections:
        registry = sections["tools"].names
        if "bounds" in sections:
            yield from _known(("bounds", "tool_allowlist"), sections["bounds"].tool_allowlist, registry)
        if "defaults" in sections:
            yield from _known(("defaults", "tool_allowlist"), sections["defaults"].tool_allowlist, registry)
        yield from _known(("strict_allowlist",), sections.get("strict_allowlist", ()), registry)
        for name in sections["tools"].root:
            if name in RESERVED or keyword.iskeyword(name):
                yield Mistake(("tools", name), shown(name), "the word means something else in maps", "another name")
        if "flags" in sections:
            yield from _flags(sections["flags"], {name: spec.flag for name, spec in sections["tools"].root.items()})
        if "gating" in sections:
            yield from _gating(sections["gating"], registry)
    if "bounds" in sections:
        allowed = sections["bounds"].tool_allowlist
        for tool in sections.get("strict_allowlist", ()):
            if tool not in allowed and ("tools" not in sections or tool in sections["tools"].names):
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


def _flags(flags: Flags, hung_on: Mapping[str, str | None]) -> Iterator[Mistake]:
    for tool, flag in hung_on.items():
        if flag is not None and flag not in flags.names:
            yield Mistake(("tools", tool, "flag"), shown(flag), "unknown flag", f"one of {', '.join(flags.names)}")
    for name in flags.names:
        if name not in Flags.model_fields and (name not in hung_on.values() or not _FLAG.fullmatch(name)):
            expected = f"one of {', '.join(Flags.model_fields)}, or an upper-case name that a tool has as its flag"
            yield Mistake(("flags", name), shown(name), "unknown flag", expected)


def _gating(rules: GatingRules, registry: Iterable[str]) -> Iterator[Mistake]:
    for tool in rules.rate_limits.tools:
        yield from _known(("gating", "rate_limits", "tools", tool), [tool], registry)
    for rule in rules.sequences:
        yield from _known(("gating", "sequences", rule.name, "first", "tool"), [rule.first.tool], registry)
        yield from _known(("gating", "sequences", rule.name, "then", "tool"), [rule.then.tool], registry)


def _known(path: tuple[str, ...], tools: Iterable[str], registry: Iterable[str]) -> Iterator[Mistake]:
    for tool in tools:
        if tool not in registry:
            wrong = "the tool registry has no such tool"
            yield Mistake(path, shown(tool), wrong, f"one of {', '.join(sorted(registry))}")
