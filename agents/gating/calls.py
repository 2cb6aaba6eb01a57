"""Which calls were taken, so that none is decided twice and what was decided stays decided (rules, section 4).

A call is kept as long as its turn is open, and for `stale_s` after it was taken: by then a copy of it is stale.
There is room for `calls_remembered`. Beyond it a call is denied and the turn takes no further ones (`crowded`), because
what was denied once is never allowed later. A turn that opens within `stale_s` of such a denial of a turn that was not
open begins so.
"""

import hashlib
import json
from typing import Any, NamedTuple

from endocrine.agents._shared.arguments import read_arguments
from endocrine.agents.gating.memory import GatingState, Moment, Row
from endocrine.agents.gating.moments import unforgeable
from endocrine.agents.gating.rules import GatingRules
from endocrine.schemas.tools import ToolCall


class KnownCall(NamedTuple):
    """A call that was taken: short digests of its content and its turn."""

    content: str
    seen: int
    """When it was taken, seconds, by the broker's clock where there is one."""
    turn: str


def digests_of(call: ToolCall, rules: GatingRules) -> tuple[str, str]:
    """Return two short digests: of which call it is, and of its content. Producer ids are no part of the content.

    `ts` is: it decides which window a call falls into and until when it may wait.
    """
    arguments: Any = call.arguments
    if not isinstance(arguments, str):
        arguments = read_arguments(
            arguments, rules.arguments_depth
        )  # too deep to be written: denied, whatever its content
    return _digest([call.audit_id, call.call_id]), _digest([call.tool, arguments, call.step, call.ts])


def content_of(state: GatingState, which: str) -> str | None:
    """Return the content of a kept call; None for one that is not kept."""
    known = state["calls"].get(which)
    return None if known is None else KnownCall(*known).content if isinstance(known, list) else known


def with_call(
    state: GatingState, which: str, content: str, audit_id: str, at: Moment, rules: GatingRules
) -> tuple[GatingState, bool]:
    """Return the state with one more call, and True; without it, its turn crowded, and False where there is no room."""
    turn, seen = state["turns"].get(audit_id), unforgeable(at)
    calls = state["calls"]
    if len(calls) >= rules.calls_remembered:
        calls = _still_needed(state, seen, rules)
    if len(calls) < rules.calls_remembered and not (turn is not None and turn.get("crowded", False)):
        return {**state, "calls": {**calls, which: list(KnownCall(content, round(seen), _tag(audit_id)))}}, True
    if turn is None:
        return {**state, "blind": seen}, False
    return {**state, "turns": {**state["turns"], audit_id: {**turn, "crowded": True}}}, False


def opens_crowded(state: GatingState, at: Moment, rules: GatingRules) -> bool:
    """Return whether a turn that opens now must take no call, because some of its may have been denied before."""
    blind = state.get("blind")
    return blind is not None and unforgeable(at) - blind <= rules.stale_s


def sighted(state: GatingState, at: Moment, rules: GatingRules) -> GatingState:
    """Return the state without a `blind` that is over."""
    if "blind" not in state or opens_crowded(state, at, rules):
        return state
    after: GatingState = {**state}
    del after["blind"]
    return after


def _still_needed(state: GatingState, seen: float, rules: GatingRules) -> dict[str, Row | str]:
    open_turns = {_tag(audit_id) for audit_id in state["turns"]}

    def needed(entry: Row | str) -> bool:
        if not isinstance(entry, list):
            return False
        call = KnownCall(*entry)
        return call.turn in open_turns or seen - call.seen <= rules.stale_s

    return {which: entry for which, entry in state["calls"].items() if needed(entry)}


def _tag(audit_id: str) -> str:
    """Eight digits: two turns with one tag make calls be kept for longer, no more."""
    return _digest(audit_id)[:8]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=10).hexdigest()
