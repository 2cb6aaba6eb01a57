"""Which calls were taken, so that none is decided twice and what was decided stays decided (rules, section 4).

calls: {call: [content, seen, turn]}  oldest first; short digests of which call it is, what it says, and its turn;
       seen: when it was taken, seconds, by the broker's clock where there is one
blind: when a call of a turn that is not open was last denied without being remembered; absent: never

A call is remembered as long as its turn is open, and for `stale_s` after it was taken: by then a copy of it is stale.
There is room for `calls_remembered`. Beyond it a call is denied and the turn takes no further ones (`crowded`), because
what was denied once is never allowed later. A turn that opens within `stale_s` of such a denial of a turn that was not
open begins so.
"""

import hashlib
import json
from typing import Any

from endocrine.agents._shared.arguments import read_arguments
from endocrine.agents.gating.memory import Json, without
from endocrine.agents.gating.moments import Moment, unforgeable
from endocrine.agents.gating.rules import GatingRules
from endocrine.schemas.tools import ToolCall


def digests_of(call: ToolCall, rules: GatingRules) -> tuple[str, str]:
    """Return which call it is, and what it says: two short digests. Producer ids are no part of what it says.

    `ts` is: it decides which window a call falls into and until when it may wait.
    """
    arguments: Any = call.arguments
    if not isinstance(arguments, str):
        arguments = read_arguments(arguments, rules.arguments_depth)  # too deep to be written: denied, whatever it says
    return _digest([call.audit_id, call.call_id]), _digest([call.tool, arguments, call.step, call.ts])


def content_of(state: Json, which: str) -> str | None:
    """Return what a remembered call says; None for one that is not remembered."""
    known = state["calls"].get(which)
    return None if known is None else known[0] if isinstance(known, list) else str(known)


def remembered(
    state: Json, which: str, content: str, audit_id: str, at: Moment, rules: GatingRules
) -> tuple[Json, bool]:
    """Return the state with one more call, and True; without it, its turn crowded, and False where there is no room."""
    turn, seen = state["turns"].get(audit_id), unforgeable(at)
    calls = state["calls"]
    if len(calls) >= rules.calls_remembered:
        calls = _still_needed(state, seen, rules)
    if len(calls) < rules.calls_remembered and not (turn is not None and turn.get("crowded", False)):
        return {**state, "calls": {**calls, which: [content, round(seen), _tag(audit_id)]}}, True
    if turn is None:
        return {**state, "blind": seen}, False
    return {**state, "turns": {**state["turns"], audit_id: {**turn, "crowded": True}}}, False


def opens_crowded(state: Json, at: Moment, rules: GatingRules) -> bool:
    """Return whether a turn that opens now must take no call, because some of its may have been denied before."""
    blind: float | None = state.get("blind")
    return blind is not None and unforgeable(at) - blind <= rules.stale_s


def sighted(state: Json, at: Moment, rules: GatingRules) -> Json:
    """Return the state without a `blind` that is over."""
    return without(state, "blind") if "blind" in state and not opens_crowded(state, at, rules) else state


def _still_needed(state: Json, seen: float, rules: GatingRules) -> Json:
    open_turns = {_tag(audit_id) for audit_id in state["turns"]}
    return {
        which: entry
        for which, entry in state["calls"].items()
        if isinstance(entry, list) and (entry[2] in open_turns or seen - entry[1] <= rules.stale_s)
    }


def _tag(audit_id: str) -> str:
    """Eight digits: two turns with one tag make calls be remembered for longer, no more."""
    return _digest(audit_id)[:8]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=10).hexdigest()
