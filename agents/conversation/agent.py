"""The conversation agent: answers turns opened with `respond: true`; without it the application calls the model.

Per turn: wait for its modulation, and for a person where that holds the turn; search for snippets; ask the model; hand
its tool calls to the gate and wait for all
of them; ask again under the newest revision, at most `gating.step_limit` times; judge the final text; close. Whatever
does not come within its time (event time: a tick, or any later record of the identity) fails closed. State key: the
identity, as `endocrine.agents.conversation.state` describes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.conversation import application, tool_calls
from endocrine.agents.conversation.memory import chars_of, effective_modulation, is_empty, latest, new_turn, without
from endocrine.agents.conversation.moderation import judge_input
from endocrine.agents.conversation.rules import Limits
from endocrine.agents.conversation.state import EMPTY, Given
from endocrine.agents.conversation.turn_context import NAME, TurnContext
from endocrine.agents.conversation.turn_flow import HELD, advance, expire, hold, take_reply
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.modulations import Modulation

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


@dataclass(frozen=True)
class Conversation:
    """A pure state machine; a copy of a record, or one that nothing waits for, changes nothing."""

    name: str = NAME
    sources: tuple[str, ...] = (
        "commands",
        "interactions",
        "modulations",
        "model-replies",
        "tool-decisions",
        "tool-results",
    )
    targets: tuple[str, ...] = ("model-requests", "tool-calls", "interactions", "incidents")

    def key(self, trigger: Trigger) -> str:
        """Return one state per identity: its budget is one."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Return the record first, then the deadlines that its time has reached."""
        context = TurnContext(EMPTY if state is None else state, trigger, policy)
        _take(context)
        expire(context)
        if not context.changed:
            return state, context.outputs
        context.state["now"] = context.now
        return (None if is_empty(context.state) else context.state), context.outputs


AGENT = Conversation()


def _take(context: TurnContext) -> None:
    topic, value = context.trigger.topic, context.trigger.value
    if isinstance(value, Opened):
        _opened(context, value)
    elif isinstance(value, Closed):
        _closed(context, value)
    elif isinstance(value, Modulation):
        _modulated(context, value)
    elif topic != "commands":
        turn = context.turn(value.audit_id)
        if turn is None:
            return
        if topic == "model-replies":
            take_reply(context, value.audit_id, turn, value)
        elif topic == "tool-decisions":
            tool_calls.take_decision(context, turn, value)
        elif topic == "tool-results" and value.runner is not None:
            tool_calls.take_continuation(context, value.audit_id, turn, value)
        elif topic == "tool-results" and context.trigger.sealed:  # a turn goes on from results of our connectors alone
            tool_calls.take_result(context, value.audit_id, turn, value)
        advance(context, value.audit_id, turn)


def _opened(context: TurnContext, opened: Opened) -> None:
    state, limits, audit_id = context.state, context.rules.limits, opened.audit_id
    if audit_id in state["turns"] or audit_id in state["closed"] or audit_id in state["others"]:
        return  # opened before: the first opening counts, and other content is modulation's to reject
    effective = state["early"].get(audit_id)
    state["early"] = without(state["early"], audit_id)
    if not opened.respond:
        state["others"] = [*state["others"], audit_id][-limits.early_modulations :]
        return
    waits, model = context.rules.waits, context.policy.document.models.default_model
    given = application.given(opened, context.policy)
    turn = new_turn(opened, effective, state["serial"], context.after(waits.modulation_ms), model, limits, given)
    if _too_long(opened, given, limits):
        context.close(audit_id, turn, "too_long")
        return
    taken = sum(chars_of(other, limits) for other in state["turns"].values())
    if len(state["turns"]) >= limits.open_turns or taken + chars_of(turn, limits) > limits.open_chars:
        context.close(audit_id, turn, "too_many_turns")
        return
    context.put(audit_id, turn)
    if effective is not None and effective["refusal"] == HELD and not application.observed(turn):
        hold(context, turn)
    judge_input(context, audit_id, turn)
    advance(context, audit_id, turn)


def _too_long(opened: Opened, given: Given | None, limits: Limits) -> bool:
    """Whether the prompt, or the conversation that it is part of, has more characters than one may have."""
    if given is None or given["messages"] is None:
        return len(opened.prompt) > limits.prompt_chars
    return given["chars"] > limits.messages_chars


def _closed(context: TurnContext, closed: Closed) -> None:
    """A turn that somebody closed, ourselves included: ours are retired by then, so it is the application's doing."""
    state, audit_id = context.state, closed.audit_id
    if audit_id in state["others"]:
        state["others"] = [other for other in state["others"] if other != audit_id]
    elif audit_id in state["turns"]:
        context.retire(audit_id, state["turns"][audit_id])


def _modulated(context: TurnContext, modulation: Modulation) -> None:
    state, audit_id = context.state, modulation.audit_id
    if audit_id in state["closed"] or audit_id in state["others"]:
        return
    effective, turn = effective_modulation(modulation), context.turn(audit_id)
    known = state["early"].get(audit_id) if turn is None else turn["force"]
    if known is not None and known["revision"] >= effective["revision"]:
        return
    if turn is None:
        state["early"] = latest({**state["early"], audit_id: effective}, context.rules.limits.early_modulations)
        return
    turn["force"] = effective
    if turn["need"] is not None and effective["risk"] >= turn["need"]:
        turn["need"] = None  # at once: a later, lower signal must not make the turn wait again
    if application.observed(turn):
        pass  # it is on record, and refuses nothing
    elif effective["refusal"] == HELD:
        hold(context, turn)
    elif effective["refusal"] is not None and turn["phase"] != "opening":
        context.close(audit_id, turn, effective["refusal"])
        return
    advance(context, audit_id, turn)
