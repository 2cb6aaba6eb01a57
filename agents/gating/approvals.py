"""Calls that wait for a person: what ends their waiting (rules, section 4).

Approved: decided again as the turn is now, so a turn that was tightened or closed meanwhile is held to that; while the
turn itself is held, the call waits for its release. Denied: `approval_denied`. Nobody answered until `expires`:
`approval_expired`, produced at the first later record of the identity (a command `tick` is one), with the time of
expiry; it is never a person's denial. The end of the turn denies what still waits, `turn_closed`. Time is the
identity's clock.
"""

from typing import TYPE_CHECKING

from endocrine.agents.contract import Output, Reject, Trigger
from endocrine.agents.gating.decide import answer
from endocrine.agents.gating.memory import Json, waits
from endocrine.agents.gating.records import decision_of
from endocrine.schemas.commands import Approve, Deny
from endocrine.schemas.vocabulary import Reason

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def expire(state: Json, trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    """Deny what has waited until its time, by the identity's clock."""
    clock = state["clock"]
    late = [question for question in state["pending"] if question["expires"] <= clock]
    if not late:
        return state, []
    outputs = [_denied(state, question, "approval_expired", question["expires"], trigger, policy) for question in late]
    return {**state, "pending": [question for question in state["pending"] if question["expires"] > clock]}, outputs


def command(state: Json, trigger: Trigger, ordinal: int, policy: "Policy") -> tuple[Json, list[Output]]:
    """Apply an approval or a denial. Raises Reject where no call of that id waits, or an approval fits two calls."""
    given: Approve | Deny = trigger.value
    named = [question for question in state["pending"] if question["call_id"] == given.call_id]
    if not named:
        raise Reject(
            "nothing_to_approve",
            f"{given.kind} of call_id {given.call_id!r}: no call of that id waits for a person; it was answered or has "
            "expired, or is not a call of this identity. Nothing changed",
        )
    if isinstance(given, Approve) and len(named) > 1:
        turns = ", ".join(repr(question["audit_id"]) for question in named)
        raise Reject(
            "ambiguous_call",
            f"approve of call_id {given.call_id!r}: calls of turns {turns} wait under that id, expected one; deny "
            "them, and have each call use an id of its own",
        )
    state = {**state, "pending": [question for question in state["pending"] if question not in named]}
    outputs: list[Output] = []
    for question in named:
        if isinstance(given, Deny):
            outputs.append(_denied(state, question, "approval_denied", state["clock"], trigger, policy))
        else:
            audit_id, agreed = question["audit_id"], {**question, "agreed": state["clock"]}
            turn = state["turns"].get(audit_id)
            if turn is not None and waits(turn):
                turn = {**turn, "waiting": [*turn["waiting"], agreed]}
                state = {**state, "turns": {**state["turns"], audit_id: turn}}
                continue
            state, answers = answer(state, audit_id, agreed, trigger, ordinal + len(outputs), policy)
            outputs += answers
    return state, outputs


def closed(state: Json, audit_id: str, trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    """Deny what waits for a turn that ended."""
    named = [question for question in state["pending"] if question["audit_id"] == audit_id]
    if not named:
        return state, []
    outputs = [_denied(state, question, "turn_closed", state["clock"], trigger, policy) for question in named]
    return {**state, "pending": [question for question in state["pending"] if question not in named]}, outputs


def _denied(state: Json, question: Json, reason: Reason, ts: float, trigger: Trigger, policy: "Policy") -> Output:
    turn = state["turns"].get(question["audit_id"])
    decision = decision_of(question, question["audit_id"], trigger.identity, reason, policy, turn, ts=ts)
    return Output("tool-decisions", trigger.identity, decision)
