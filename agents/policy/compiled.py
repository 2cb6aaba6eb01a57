"""From a resolved document to a policy in force: validated whole, maps compiled, digested; or refused whole."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import rfc8785
from pydantic import ValidationError

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.policy.checks import cross_checks, names_given
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.document import SECTIONS, Document
from endocrine.agents.policy.errors import Mistake, PolicyError, shown
from endocrine.agents.policy.expressions import Evaluate, Expression, ExpressionError, Shape, compile_expression
from endocrine.agents.policy.grid import FIRST, faults
from endocrine.agents.policy.parameters import MODES, PARAMETERS, SIGNALS, TIGHTENING, Parameter
from endocrine.agents.policy.salvage import Path, salvage
from endocrine.agents.policy.sections import Combine, MapRule

if TYPE_CHECKING:
    from endocrine.agents.policy.canary import Canary


class CompiledMap(NamedTuple):
    """One signal's map of one parameter, ready to run."""

    signal: str
    weight: float
    combine: Combine
    evaluate: Evaluate
    """(x, value so far, level of each signal) -> value of the parameter's kind; cannot fail."""


@dataclass(frozen=True)
class Policy:
    """A policy in force. Made by `compile_policy` only, so that none is ever half-loaded. Equal by digest."""

    digest: str
    """SHA-256 of the document's canonical JSON, 64 hexadecimal characters."""
    document: Document = field(repr=False, compare=False)
    resolved: Mapping[str, Any] = field(repr=False, compare=False)
    """The document as JSON values, as published; compiling it again gives the same digest."""
    easing: Mapping[str, tuple[CompiledMap, ...]] = field(repr=False, compare=False)
    """Per parameter, the maps of signals that are not tightening, weakest first."""
    guards: Mapping[str, tuple[CompiledMap, ...]] = field(repr=False, compare=False)
    """Per parameter, the maps of tightening signals, weakest first."""
    ranks: Mapping[str, int] = field(repr=False, compare=False)
    """Place of each signal in explanations, 0 first: by weight, then by precedence."""
    cooldowns_us: Mapping[str, int] = field(repr=False, compare=False)
    """Microseconds of event time."""
    switched_off: tuple[tuple[str, str], ...] = field(repr=False, compare=False)
    """(tool, flag) of each tool that its flag keeps off."""
    prompt_key: bytes | None = field(default=None, repr=False, compare=False)
    """Key of prompt hashes, which the document names by its fingerprint; None where it names none or it is not here."""
    canary: "Canary | None" = field(default=None, repr=False, compare=False)
    """Another policy that a share of identities is decided under (agents/policy/canary.py); None: there is none."""

    def of(self, identity: str) -> "Policy":
        """Return the policy that this identity is decided under: its `digest` is what records of it name."""
        return self if self.canary is None else self.canary.of(identity)


def compile_policy(
    resolved: Mapping[str, Any],
    prompt_keys: PromptKeys = MappingProxyType({}),
    *,
    valid: Mapping[str, Any] | None = None,
) -> Policy:
    """Compile a resolved document (all sections). Raises PolicyError with every mistake found.

    prompt_keys: where the key that the document names for prompt hashes may be; `prompt_key` there asks whether it was.
    valid: a document that compiles. With it, what is malformed hides no mistake beside it: its values are used there.

    >>> compile_policy({"colour": "red"})
    Traceback (most recent call last):
    endocrine.agents.policy.errors.PolicyError: colour: 'colour': unknown section, ...
    """
    sections, errors, doubtful = _sections(resolved, valid or {})
    errors.extend(cross_checks(sections, resolved, doubtful))
    compiled, found = _maps(sections, resolved)
    errors.extend(found)
    if errors:
        raise PolicyError(errors)
    document = Document(**sections)
    plain = document.model_dump(mode="json")
    try:
        digest = canonical_digest(plain)
    except rfc8785.CanonicalizationError as error:
        mistake = Mistake((), shown(str(error)), "no canonical JSON", "integers within 2**53 - 1 and valid Unicode")
        raise PolicyError([mistake]) from None
    by_strength = _by_strength(document)
    rules = {rule.name: rule for rule in document.signals}
    named = sorted(rules, key=lambda name: (-rules[name].weight, by_strength.index(name)))
    return Policy(
        digest=digest,
        document=document,
        resolved=plain,
        easing=_weakest_first(compiled, [name for name in by_strength if name not in TIGHTENING]),
        guards=_weakest_first(compiled, [name for name in by_strength if name in TIGHTENING]),
        ranks={name: place for place, name in enumerate(named)},
        cooldowns_us={name: rule.cooldown_ms * 1000 for name, rule in rules.items()},
        switched_off=tuple(
            (name, spec.flag)
            for name, spec in document.tools.root.items()
            if spec.flag is not None and not document.flags.on(spec.flag)
        ),
        prompt_key=prompt_keys.get(document.gating.prompt_hmac_key_id or ""),
    )


def _sections(
    resolved: Mapping[str, Any], valid: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Mistake], frozenset[Path]]:
    """Each section as far as it is valid, the mistakes of the others, and what a valid value replaces."""
    sections: dict[str, Any] = {}
    doubtful: set[Path] = set()
    errors = [
        Mistake((str(name),), shown(name), "unknown section", f"one of {', '.join(SECTIONS)}")
        for name in resolved
        if name not in SECTIONS
    ]
    for name, adapter in SECTIONS.items():
        if name not in resolved:
            errors.append(Mistake((name,), shown(name), "the section is missing", "the section"))
            continue
        # Maps replace all maps: a shipped one that replaces a malformed one would be checked as if it were given.
        salvaged = salvage(name, adapter, resolved[name], None if name == "maps" else valid.get(name))
        errors.extend(salvaged.errors)
        doubtful |= salvaged.doubtful
        if salvaged.value is not None:
            sections[name] = salvaged.value
        elif name == "maps":
            sections[name] = _valid_maps(resolved[name])
    return sections, errors, frozenset(doubtful)


def _valid_maps(given: Any) -> dict[str, dict[str, MapRule]]:
    """The maps that have the right form, so that their expressions are checked although others are malformed."""
    valid: dict[str, dict[str, MapRule]] = {}
    for signal, rules in given.items() if isinstance(given, Mapping) else ():
        for parameter, rule in rules.items() if isinstance(rules, Mapping) else ():
            try:
                valid.update(SECTIONS["maps"].validate_python({signal: {**valid.get(signal, {}), parameter: rule}}))
            except ValidationError:
                continue
    return valid


def _maps(
    sections: Mapping[str, Any], resolved: Mapping[str, Any]
) -> tuple[dict[tuple[str, str], CompiledMap], list[Mistake]]:
    tools = (
        tuple(dict.fromkeys([*sections["tools"].root, *names_given(resolved, "tools")])) if "tools" in sections else ()
    )
    weights = {rule.name: rule.weight for rule in sections.get("signals", ())}
    maps: Mapping[str, Mapping[str, MapRule]] = sections.get("maps", {})
    expressions: dict[tuple[str, str], Expression] = {}
    errors: list[Mistake] = []
    if "tools" not in sections:  # its mistakes are reported; which words a map may use is not known without it
        maps = {}
    for signal, name, rule in ((signal, name, rule) for signal, rules in maps.items() for name, rule in rules.items()):
        parameter, path, text = PARAMETERS[name], ("maps", signal, name), rule.expression
        try:
            expression = compile_expression(
                text, _current(parameter, tools), frozenset(SIGNALS), frozenset((*tools, *MODES))
            )
        except ExpressionError as error:
            wrong = error.wrong if error.text == text else f"at {shown(error.text)}: {error.wrong}"
            errors.append(Mistake(path, shown(text), wrong, error.expected))
            continue
        found = list(_faults(signal, parameter, rule, expression))
        errors.extend(Mistake(path, shown(text), *fault) for fault in found)
        if not found:
            expressions[signal, name] = expression
    evaluates = {key: _fitted(PARAMETERS[key[1]], expression) for key, expression in expressions.items()}
    guarded = resolved["maps"].get(FIRST) if isinstance(resolved.get("maps"), Mapping) else None
    for (signal, name), expression in expressions.items():
        guard = expressions.get((FIRST, name))
        if guard is None and isinstance(guarded, Mapping) and name in guarded:
            continue  # its guard is malformed, which is reported: how it would bound this map is not known
        for fault in _grid_faults(signal, name, expression, guard, tools):
            errors.append(Mistake(("maps", signal, name), shown(expression.text), *fault))
    compiled = {
        (signal, name): CompiledMap(signal, weights.get(signal, 1.0), maps[signal][name].combine, evaluate)
        for (signal, name), evaluate in evaluates.items()
    }
    return compiled, errors


@lru_cache(maxsize=1024)
def _grid_faults(
    signal: str, name: str, expression: Expression, guard: Expression | None, tools: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """What is wrong with a map on the grid. Cached: most maps of a changed policy are as they were before."""
    parameter = PARAMETERS[name]
    first = None if guard is None else _fitted(parameter, guard)
    return tuple(faults(signal, parameter, _fitted(parameter, expression), expression.names, first, tools))


def _faults(signal: str, parameter: Parameter, rule: MapRule, expression: Expression) -> Iterator[tuple[str, str]]:
    """What is wrong with a map without trying it: its way to combine, and the kind of value it gives."""
    if rule.combine == "tightest" and not parameter.safety:
        yield "combine tightest: the parameter has no tighter direction", "precedence or weighted_mean"
    if rule.combine == "weighted_mean" and parameter.kind in ("mode", "tools"):
        yield "combine weighted_mean: the parameter is no number", "precedence or tightest"
    elif rule.combine == "weighted_mean" and parameter.safety and signal in TIGHTENING:
        yield (
            "combine weighted_mean: the guard of a tightening signal takes the tighter value",
            "precedence or tightest",
        )
    shape = expression.shape
    kind = {"mode": "word", "tools": "tools"}.get(parameter.kind, "number")
    if shape.kind != kind:
        yield f"gives a {shape.kind}", parameter.expected()
    elif parameter.kind == "whole" and not shape.whole:
        yield "gives a number that need not be whole", f"{parameter.expected()}: use round(...)"


def _current(parameter: Parameter, tools: Iterable[str]) -> Shape:
    """What the value so far may be when a map looks at it."""
    if parameter.kind == "mode":
        return Shape("word", words=frozenset(MODES))
    if parameter.kind == "tools":
        return Shape("tools", words=frozenset(tools))
    return Shape("number", parameter.low, parameter.high, parameter.kind == "whole")


def _fitted(parameter: Parameter, expression: Expression) -> Evaluate:
    """The expression as a map of its parameter: `current` kept within the widest bounds, numbers of one type."""
    plain, low, high = expression.evaluate, parameter.low, parameter.high
    bounded = plain
    if "current" in expression.names and parameter.kind in ("number", "whole"):

        def bounded(x: float, current: Any, levels: Mapping[str, float]) -> Any:
            return plain(x, min(max(current, low), high), levels)

    if parameter.kind != "number":
        return bounded
    return lambda x, current, levels: float(bounded(x, current, levels))


def _by_strength(document: Document) -> list[str]:
    """Names of signals, strongest first."""
    order: dict[str, tuple[float, float, int]] = {
        rule.name: (rule.precedence, -rule.weight, place) for place, rule in enumerate(document.signals)
    }
    return sorted(order, key=lambda name: order[name])


def _weakest_first(
    compiled: Mapping[tuple[str, str], CompiledMap], strongest_first: list[str]
) -> dict[str, tuple[CompiledMap, ...]]:
    return {
        parameter: tuple(
            compiled[name, parameter] for name in reversed(strongest_first) if (name, parameter) in compiled
        )
        for parameter in PARAMETERS
    }
