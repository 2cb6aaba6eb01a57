"""The gate: every tool call is answered once, `allowed` or `denied` with exactly one reason (rules, section 4).

- A call of an open turn whose first modulation has not arrived waits for it; if the turn closes first, the call is
  denied, `turn_closed`. No call that was taken stays without an answer at the end of its turn.
- `unknown_tool` and `not_in_allowlist` are incidents. The gate then cuts its own view of the turn to the strict
  allowlist at once, so that the next call of the same reply meets the cut list; no later modulation undoes it.
- Only an opening makes a turn known: a modulation seen before it is kept aside until the opening arrives.
- Outputs: the decision, then its incident. A decision's `ts` is the call's, whether it waited or not.
- A copy of a call already taken is not answered again; a call under the same id with other content is rejected.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.contract import Output, Reject, State, Trigger
from agents.gating import memory
from agents.gating.answer import NAME, answer, question_of
from agents.gating.decision import Standing
from agents.gating.memory import Json
from schemas.interactions import Opened
from schemas.modulations import Modulation
from schemas.tools import ToolCall

if TYPE_CHECKING:
    from agents.policy.compiled import Policy


@dataclass(frozen=True)
class Gating:
    """State key: the identity; turns live inside, as `agents.gating.memory` describes."""

    name: str = NAME
    sources: tuple[str, ...] = ("interactions", "modulations", "tool-calls")
    targets: tuple[str, ...] = ("tool-decisions", "incidents")

    def key(self, trigger: Trigger) -> str:
        """One state per identity."""
        return trigger.identity

    def think(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Raises Reject: conflicting_call, too_many_waiting, inconsistent_modulation."""
        known: Json = state if state is not None else dict(memory.EMPTY)
        if trigger.topic == "tool-calls":
            return _call(known, trigger, policy)
        if trigger.topic == "modulations":
            after, outputs = _modulation(known, trigger, policy)
        elif isinstance(trigger.value, Opened):
            after, outputs = _opened(known, trigger, policy)
        else:
            after, outputs = _close(known, [trigger.value.audit_id], trigger, policy)
        return (state if after is known else after), outputs


AGENT = Gating()


def _opened(state: Json, trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    turn, rules = trigger.value, policy.document.gating
    if turn.audit_id in state["turns"] or turn.audit_id in state["closed"]:
        return state, []  # opened before: the first opening stands, and other content is modulation's to reject
    fresh = {
        "prompt_hmac": memory.prompt_hmac(turn.prompt, rules),
        "force": state["early"].get(turn.audit_id),
        "cut": None,
        "waiting": [],
    }
    turns = {**state["turns"], turn.audit_id: fresh}
    state = {**state, "turns": turns, "early": memory.without(state["early"], turn.audit_id)}
    return _close(state, list(turns)[: -rules.open_turns], trigger, policy)


def _close(state: Json, ended: Iterable[str], trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    """Close those of the turns that are open; what waits for them is denied."""
    outputs: list[Output] = []
    for audit_id in ended:
        turn = state["turns"].get(audit_id)
        if turn is None:
            continue
        for question in turn["waiting"]:
            _, answers = answer(None, "closed", audit_id, question, trigger, len(outputs), policy)
            outputs += answers
        closed = [*state["closed"], audit_id][-policy.document.gating.closed_turns :]
        state = {**state, "turns": memory.without(state["turns"], audit_id), "closed": closed}
    return state, outputs


def _modulation(state: Json, trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    modulation: Modulation = trigger.value
    if modulation.admitted != (modulation.refusal is None):
        raise Reject(
            "inconsistent_modulation",
            f"modulation of turn {modulation.audit_id!r}: admitted is {modulation.admitted} and refusal is "
            f"{modulation.refusal!r}; expected a refusal exactly where the turn is not admitted",
        )
    audit_id, force = modulation.audit_id, memory.force_of(modulation)
    if audit_id in state["closed"]:
        return state, []
    turn = state["turns"].get(audit_id)
    if turn is None:
        if not memory.is_newer(force, state["early"].get(audit_id)):
            return state, []
        early = memory.latest({**state["early"], audit_id: force}, policy.document.gating.early_modulations)
        return {**state, "early": early}, []
    if not memory.is_newer(force, turn["force"]):
        return state, []
    waiting, turn = turn["waiting"], {**turn, "force": force, "waiting": []}
    outputs: list[Output] = []
    for question in waiting:
        turn, answers = answer(turn, "open", audit_id, question, trigger, len(outputs), policy)
        outputs += answers
    return {**state, "turns": {**state["turns"], audit_id: turn}}, outputs


def _call(state: Json, trigger: Trigger, policy: "Policy") -> tuple[Json, list[Output]]:
    call: ToolCall = trigger.value
    rules = policy.document.gating
    which, content = memory.digests_of(call, rules)
    taken = state["calls"].get(which)
    if taken == content:
        return state, []
    if taken is not None:
        raise Reject(
            "conflicting_call",
            f"call_id {call.call_id!r} of turn {call.audit_id!r} was already used for a call with other content; "
            "expected the same content, or a call_id of its own",
        )
    question = question_of(call, policy)
    calls = memory.latest({**state["calls"], which: content}, rules.calls_remembered)
    turn = state["turns"].get(call.audit_id)
    if turn is None:
        standing: Standing = "closed" if call.audit_id in state["closed"] else "unknown"
        _, outputs = answer(None, standing, call.audit_id, question, trigger, 0, policy)
        return {**state, "calls": calls}, outputs
    if turn["force"] is not None:
        turn, outputs = answer(turn, "open", call.audit_id, question, trigger, 0, policy)
    elif len(turn["waiting"]) < rules.waiting_calls:
        turn, outputs = {**turn, "waiting": [*turn["waiting"], question]}, []
    else:
        raise Reject(
            "too_many_waiting",
            f"call_id {call.call_id!r}: {len(turn['waiting'])} calls of turn {call.audit_id!r} already wait for its "
            f"modulation, expected at most {rules.waiting_calls}; send it again once they are decided",
        )
    return {**state, "turns": {**state["turns"], call.audit_id: turn}, "calls": calls}, outputs
