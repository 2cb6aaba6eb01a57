"""Calls that wait for a person: what ends their waiting (rules, section 4).

Approved: decided again as the turn is now, so a turn that was tightened or closed meanwhile is held to that; while the
turn itself is held, the call waits for its release. Denied: `approval_denied`. Nobody answered until `expires`:
`approval_expired`, produced at the first later record of the identity (a command `tick` is one), with the time of
expiry; it is never a person's denial. The end of the turn denies what still waits, `turn_closed`. Time is the
identity's clock.
"""

from typing import TYPE_CHECKING

from endocrine.agents.contract import Output, Reject, Trigger
from endocrine.agents.gating.decide import decide
from endocrine.agents.gating.memory import GatingState, PendingCall, clock_of, waits
from endocrine.agents.gating.records import decision_of
from endocrine.schemas.commands import Approve, Deny
from endocrine.schemas.vocabulary import Reason

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def expire(state: GatingState, trigger: Trigger, policy: "Policy") -> tuple[GatingState, list[Output]]:
    """Deny what has waited until its time, by the identity's clock."""
    clock = clock_of(state)
    late = [call for call in state["pending"] if call["expires"] <= clock]
    if not late:
        return state, []
    outputs = [_denied(state, call, "approval_expired", call["expires"], trigger, policy) for call in late]
    return {**state, "pending": [call for call in state["pending"] if call["expires"] > clock]}, outputs


def command(state: GatingState, trigger: Trigger, ordinal: int, policy: "Policy") -> tuple[GatingState, list[Output]]:
    """Apply an approval or a denial. Raises Reject where no call of that id waits, or an approval fits two calls."""
    given: Approve | Deny = trigger.value
    clock = clock_of(state)
    named = [call for call in state["pending"] if call["call_id"] == given.call_id]
    if not named:
        raise Reject(
            "nothing_to_approve",
            f"{given.kind} of call_id {given.call_id!r}: no call of that id waits for a person; it was answered or has "
            "expired, or is not a call of this identity. Nothing changed",
        )
    if isinstance(given, Approve) and len(named) > 1:
        turns = ", ".join(repr(call["audit_id"]) for call in named)
        raise Reject(
            "ambiguous_call",
            f"approve of call_id {given.call_id!r}: calls of turns {turns} wait under that id, expected one; deny "
            "them, and have each call use an id of its own",
        )
    state = {**state, "pending": [call for call in state["pending"] if call not in named]}
    outputs: list[Output] = []
    for call in named:
        if isinstance(given, Deny):
            outputs.append(_denied(state, call, "approval_denied", clock, trigger, policy))
        else:
            audit_id = call["audit_id"]
            agreed: PendingCall = {**call, "agreed": clock}
            turn = state["turns"].get(audit_id)
            if turn is not None and waits(turn):
                turn = {**turn, "waiting": [*turn["waiting"], agreed]}
                state = {**state, "turns": {**state["turns"], audit_id: turn}}
                continue
            state, decided = decide(state, audit_id, agreed, trigger, ordinal + len(outputs), policy)
            outputs += decided
    return state, outputs


def closed(state: GatingState, audit_id: str, trigger: Trigger, policy: "Policy") -> tuple[GatingState, list[Output]]:
    """Deny what waits for a turn that ended."""
    named = [call for call in state["pending"] if call["audit_id"] == audit_id]
    if not named:
        return state, []
    outputs = [_denied(state, call, "turn_closed", clock_of(state), trigger, policy) for call in named]
    return {**state, "pending": [call for call in state["pending"] if call not in named]}, outputs


def _denied(
    state: GatingState, call: PendingCall, reason: Reason, ts: float, trigger: Trigger, policy: "Policy"
) -> Output:
    turn = state["turns"].get(call["audit_id"])
    decision = decision_of(call, call["audit_id"], trigger.identity, reason, policy, turn, ts=ts)
    return Output("tool-decisions", trigger.identity, decision)
