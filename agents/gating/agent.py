"""The gate: every tool call is answered once, `allowed` or `denied` with exactly one reason (rules, section 4).

- A call of an open turn whose first modulation has not arrived, or that is held, waits; if the turn closes first, the
  call is denied, `turn_closed`. No call that was taken stays without an answer at the end of its turn.
- `unknown_tool`, `disabled_by_flag` and `not_in_allowlist` are incidents. The gate then cuts its own view of the turn
  to the strict allowlist at once, so that the next call of the same reply meets the cut list; no later modulation
  undoes it.
- Only an opening makes a turn known: a modulation seen before it is kept aside until the opening arrives.
- A call that needs a person is `pending` first, and decided once more when its waiting ends (`approvals.py`); the
  limits of a tool are in `limits.py`, rules over two calls in `sequences.py`.
- Outputs: the decision, then its incident; before them what this record's time made expire. A decision's `ts` is the
  call's, whether it waited for its modulation or not; the second one's is the time its waiting for a person ended.
- Time is the identity's clock, which never goes back (`moments.py`).
- A copy of a call already taken is not answered again; other content under its id is denied, `conflicting_call`, and
  changes nothing: the first that came is the one that is decided (`calls.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents._shared.clock import forward
from endocrine.agents._shared.prompt_keys import prompt_hmac
from endocrine.agents.contract import Output, Reject, State, Trigger
from endocrine.agents.gating import application, approvals, calls, limits, memory, moments, sequences
from endocrine.agents.gating.decide import NAME, decide, pending_call
from endocrine.agents.gating.memory import GatingState, Turn
from endocrine.schemas.commands import Approve, Deny
from endocrine.schemas.interactions import Opened
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import ToolCall, ToolResult
from endocrine.schemas.vocabulary import Reason

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


@dataclass(frozen=True)
class Gating:
    """State key: the identity. State: `GatingState`; turns live inside."""

    name: str = NAME
    sources: tuple[str, ...] = ("interactions", "modulations", "commands", "tool-results", "tool-calls")
    targets: tuple[str, ...] = ("tool-decisions", "incidents")

    def key(self, trigger: Trigger) -> str:
        """Return one state per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Decide. Raises Reject: too_many_waiting, inconsistent_modulation, nothing_to_approve, ambiguous_call."""
        known: GatingState = {**memory.EMPTY, **(state or {})}
        known["clock"] = forward(known["clock"], trigger.value.ts)
        after, expired = approvals.expire(known, trigger, policy)
        if isinstance(trigger.value, Approve | Deny) and _names_one_of(expired, trigger.value.call_id):
            return after, expired  # the command came too late, and the expiry is the answer to it
        after, outputs = _apply(after, trigger, len(expired), policy)
        if after is known and (state is None or after["clock"] == state.get("clock")):
            return state, outputs
        return after, [*expired, *outputs]


def _names_one_of(decisions: Iterable[Output], call_id: str) -> bool:
    return any(decision.value["call_id"] == call_id for decision in decisions)


def _apply(state: GatingState, trigger: Trigger, ordinal: int, policy: "Policy") -> tuple[GatingState, list[Output]]:
    """What the record itself does; `ordinal` is the place of its first output."""
    value = trigger.value
    if trigger.topic == "tool-calls":
        return _call(state, trigger, ordinal, policy)
    if trigger.topic == "modulations":
        return _modulation(state, trigger, ordinal, policy)
    if trigger.topic == "tool-results":
        return _result(state, trigger, policy), []
    if trigger.topic == "commands":
        return approvals.command(state, trigger, ordinal, policy) if isinstance(value, Approve | Deny) else (state, [])
    if isinstance(value, Opened):
        return _opened(state, trigger, ordinal, policy)
    return _close(state, [value.audit_id], trigger, ordinal, policy)


AGENT = Gating()


def _opened(state: GatingState, trigger: Trigger, ordinal: int, policy: "Policy") -> tuple[GatingState, list[Output]]:
    turn, rules, at = trigger.value, policy.document.gating, moments.now(state, trigger)
    if turn.audit_id in state["turns"] or turn.audit_id in state["closed"]:
        return state, []  # opened before: the first opening counts, and modulation rejects other content
    fresh: Turn = {
        "prompt_hmac": prompt_hmac(turn.prompt, policy),
        "force": state["early"].get(turn.audit_id),
        "cut": None,
        "waiting": [],
    }
    if turn.respond:
        fresh["answered"] = True
    if calls.opens_crowded(state, at, rules):
        fresh["crowded"] = True
    state, fresh = application.opened(calls.sighted(state, at, rules), fresh, turn, policy)
    turns = {**state["turns"], turn.audit_id: fresh}
    state = {**state, "turns": turns, "early": memory.without(state["early"], turn.audit_id)}
    ended = [
        audit_id
        for answered, most in ((False, rules.open_turns), (True, rules.answered_turns))
        for audit_id in [name for name, held in turns.items() if held.get("answered", False) == answered][:-most]
    ]
    return _close(state, ended, trigger, ordinal, policy)


def _close(
    state: GatingState, ended: Iterable[str], trigger: Trigger, ordinal: int, policy: "Policy"
) -> tuple[GatingState, list[Output]]:
    """Close those of the turns that are open; what waits for them is denied."""
    outputs: list[Output] = []
    for audit_id in ended:
        turn = state["turns"].get(audit_id)
        if turn is None:
            continue
        closed = [*state["closed"], audit_id][-policy.document.gating.closed_turns :]
        state = {**state, "turns": memory.without(state["turns"], audit_id), "closed": closed}
        state = sequences.closed(state, turn, moments.now(state, trigger), policy.document.gating)
        state, denied = approvals.closed(state, audit_id, trigger, policy)
        outputs += denied
        for pending in turn["waiting"]:
            state, decided = decide(state, audit_id, pending, trigger, ordinal + len(outputs), policy)
            outputs += decided
    return application.kept(state), outputs


def _result(state: GatingState, trigger: Trigger, policy: "Policy") -> GatingState:
    """Show the result of a call to the breaker, and to the sequence rules that wait for it."""
    result: ToolResult = trigger.value
    rules, at = policy.document.gating, moments.now(state, trigger)
    if result.runner is not None or result.tool not in policy.document.tools.names:
        return state
    state = limits.learnt(state, result, at, rules)
    return sequences.learnt(state, result, at, rules, sealed=trigger.sealed)


def _modulation(
    state: GatingState, trigger: Trigger, ordinal: int, policy: "Policy"
) -> tuple[GatingState, list[Output]]:
    modulation: Modulation = trigger.value
    if modulation.admitted != (modulation.refusal is None):
        raise Reject(
            "inconsistent_modulation",
            f"modulation of turn {modulation.audit_id!r}: admitted is {modulation.admitted} and refusal is "
            f"{modulation.refusal!r}; expected a refusal exactly where the turn is not admitted",
        )
    audit_id = modulation.audit_id
    effective = memory.effective_modulation(modulation, application.in_force(modulation))
    if audit_id in state["closed"]:
        return state, []
    turn = state["turns"].get(audit_id)
    if turn is None:
        if not memory.is_newer(effective, state["early"].get(audit_id)):
            return state, []
        early = memory.latest({**state["early"], audit_id: effective}, policy.document.gating.early_modulations)
        return {**state, "early": early}, []
    if not memory.is_newer(effective, turn["force"]):
        return state, []
    turn = {**turn, "force": effective}
    waiting = [] if memory.waits(turn) else turn["waiting"]
    if waiting:
        turn = {**turn, "waiting": []}
    state = {**state, "turns": {**state["turns"], audit_id: turn}}
    outputs: list[Output] = []
    for pending in waiting:
        state, decided = decide(state, audit_id, pending, trigger, ordinal + len(outputs), policy)
        outputs += decided
    return state, outputs


def _call(state: GatingState, trigger: Trigger, ordinal: int, policy: "Policy") -> tuple[GatingState, list[Output]]:
    call: ToolCall = trigger.value
    rules, at = policy.document.gating, moments.now(state, trigger)
    which, content = calls.digests_of(call, rules)
    taken = calls.content_of(state, which)
    if taken == content:
        return state, []
    if taken is not None:
        pending = pending_call(call, state, policy, "conflicting_call")
        return state, decide(state, call.audit_id, pending, trigger, ordinal, policy)[1]
    state, has_room = calls.with_call(state, which, content, call.audit_id, at, rules)
    barred: Reason | None = None if has_room else "rate_limited"
    if trigger.appended is not None and trigger.appended - call.ts > rules.stale_s:
        barred = "stale_call"
    pending = pending_call(call, state, policy, barred)
    turn = state["turns"].get(call.audit_id)
    if turn is None or not memory.waits(turn) or barred == "stale_call":
        return decide(state, call.audit_id, pending, trigger, ordinal, policy)
    if len(turn["waiting"]) >= rules.waiting_calls:
        raise Reject(
            "too_many_waiting",
            f"call_id {call.call_id!r}: {len(turn['waiting'])} calls of turn {call.audit_id!r} already wait for its "
            f"modulation, expected at most {rules.waiting_calls}; send it again once they are decided",
        )
    turn = {**turn, "waiting": [*turn["waiting"], pending]}
    return {**state, "turns": {**state["turns"], call.audit_id: turn}}, []
