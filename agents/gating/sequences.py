"""Rules over two calls: after one call, or its result, another is stopped (policy section `gating.sequences`).

A first call whose result is not known yet counts as met for calls of a later model step: the model may have seen the
result before the gate did. It does not count for calls of its own step, which cannot depend on its result.
What cannot be judged within bounds counts as a match, and what cannot be kept (a turn with too many results
outstanding, a turn that closes before its results) counts as met: a rule errs to the strict side.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from endocrine.agents.gating.memory import GatingState, Moment, PendingCall, Turn, without
from endocrine.agents.gating.moments import elapsed_us, micros
from endocrine.agents.gating.rules import GatingRules, SequenceRule
from endocrine.schemas.tools import ToolResult


def begun_by(tool: str, arguments: Mapping[str, Any], rules: GatingRules) -> list[str]:
    """Return the names of the rules that this call begins, as far as its arguments show."""
    firsts = (rule for rule in rules.sequences if rule.first.tool == tool)
    return [rule.name for rule in firsts if rule.first.matches_arguments.may_fit(arguments)]


def ended_by(tool: str, arguments: Mapping[str, Any], rules: GatingRules) -> list[str]:
    """Return the names of the rules that would stop this call."""
    thens = (rule for rule in rules.sequences if rule.then.tool == tool)
    return [rule.name for rule in thens if rule.then.matches_arguments.may_fit(arguments)]


def in_force(state: GatingState, turn: Turn, call: PendingCall, at: Moment, rules: GatingRules) -> list[SequenceRule]:
    """Return the rules that stop this call now, in the order of the policy."""
    found = []
    for name in call.get("ends", ()):
        rule = rules.sequence.get(name)
        if rule is not None and _met(state, turn, call, at, rule):
            found.append(rule)
    return found


def begin(
    state: GatingState, turn: Turn, call: PendingCall, at: Moment, rules: GatingRules
) -> tuple[GatingState, Turn]:
    """Return state and turn after a call was allowed."""
    named = [rules.sequence[name] for name in call.get("begins", ()) if name in rules.sequence]
    at_once = [rule for rule in named if rule.first.result is None]
    later = [rule for rule in named if rule.first.result is not None]
    if later and len(turn.get("awaited", {})) >= rules.waiting_calls:
        at_once, later = named, []
    state, turn = _meet(state, turn, at_once, call["step"], at)
    if later:
        entry = {rule.name: call["step"] for rule in later}
        turn = {**turn, "awaited": {**turn.get("awaited", {}), call["call_id"]: entry}}
    return state, turn


def learnt(state: GatingState, result: ToolResult, at: Moment, rules: GatingRules, *, sealed: bool) -> GatingState:
    """Return the state after a result: what waited for it is met or not.

    Of a turn that we answer the result comes from our connector: one without a seal may be anybody's, so it can meet a
    rule and never ends the waiting.
    """
    turn = state["turns"].get(result.audit_id)
    awaited = {} if turn is None else turn.get("awaited", {})
    entry = awaited.get(result.call_id)
    if turn is None or entry is None:
        return state
    if sealed or not turn.get("answered", False):
        turn = {**turn, "awaited": without(awaited, result.call_id)}
    for name, step in entry.items():
        rule = rules.sequence.get(name)
        if rule is not None and rule.first.matches_result.may_fit(result.output):
            state, turn = _meet(state, turn, [rule], step, at)
    return {**state, "turns": {**state["turns"], result.audit_id: turn}}


def closed(state: GatingState, turn: Turn, at: Moment, rules: GatingRules) -> GatingState:
    """Return the state after a turn ended: rules that reach over turns are met where a result is still outstanding."""
    names = {name for entry in turn.get("awaited", {}).values() for name in entry}
    return _meet(state, turn, [rule for rule in rules.sequences if rule.name in names], 0, at)[0]


def _meet(
    state: GatingState, turn: Turn, rules: Iterable[SequenceRule], step: int, at: Moment
) -> tuple[GatingState, Turn]:
    for rule in rules:
        if rule.window_s is None:
            turn = {**turn, "met": {**turn.get("met", {}), rule.name: step}}
        else:
            state = {**state, "met": {**state["met"], rule.name: at}}
    return state, turn


def _met(state: GatingState, turn: Turn, call: PendingCall, at: Moment, rule: SequenceRule) -> bool:
    if rule.window_s is None:
        if rule.name in turn.get("met", {}):
            return True
    elif rule.name in state["met"] and elapsed_us(state["met"][rule.name], at) <= micros(rule.window_s):
        return True
    turns = [turn] if rule.window_s is None else state["turns"].values()
    for other in turns:
        for entry in other.get("awaited", {}).values():
            if rule.name in entry and (other is not turn or call["step"] > entry[rule.name]):
                return True
    return False
