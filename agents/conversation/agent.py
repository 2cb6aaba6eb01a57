"""The conversation agent: answers turns opened with `respond: true`; without it the application calls the model.

Per turn: wait for its modulation, and for a person where that holds the turn; search for snippets; ask the model; hand
its tool calls to the gate and wait for all
of them; ask again under the newest revision, at most `gating.step_limit` times; judge the final text; close. Whatever
does not come within its time (event time: a tick, or any later record of the identity) fails closed. State key: the
identity, as `endocrine.agents.conversation.memory` describes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.conversation import application
from endocrine.agents.conversation import tool_calls as calls
from endocrine.agents.conversation.memory import EMPTY, Json, chars_of, force_of, latest, new_turn, nothing_in, without
from endocrine.agents.conversation.moderation import judge_input
from endocrine.agents.conversation.rules import Limits
from endocrine.agents.conversation.turn_context import NAME, TurnContext
from endocrine.agents.conversation.turn_flow import HELD, advance, expire, hold, replied
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
        """One state per identity: its budget is one."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """The record first, then the deadlines that its time has reached."""
        desk = TurnContext(dict(EMPTY) if state is None else state, trigger, policy)
        _take(desk)
        expire(desk)
        if not desk.changed:
            return state, desk.outputs
        desk.memory["now"] = desk.now
        return (None if nothing_in(desk.memory) else desk.memory), desk.outputs


AGENT = Conversation()


def _take(desk: TurnContext) -> None:
    topic, value = desk.trigger.topic, desk.trigger.value
    if isinstance(value, Opened):
        _opened(desk, value)
    elif isinstance(value, Closed):
        _closed(desk, value)
    elif isinstance(value, Modulation):
        _modulated(desk, value)
    elif topic != "commands":
        turn = desk.turn(value.audit_id)
        if turn is None:
            return
        if topic == "model-replies":
            replied(desk, value.audit_id, turn, value)
        elif topic == "tool-decisions":
            calls.decided(desk, turn, value)
        elif topic == "tool-results" and value.runner is not None:
            calls.continued(desk, value.audit_id, turn, value)
        elif topic == "tool-results" and desk.trigger.sealed:  # a turn goes on from what our connectors say alone
            calls.came_back(desk, value.audit_id, turn, value)
        advance(desk, value.audit_id, turn)


def _opened(desk: TurnContext, opened: Opened) -> None:
    memory, limits, audit_id = desk.memory, desk.rules.limits, opened.audit_id
    if audit_id in memory["turns"] or audit_id in memory["closed"] or audit_id in memory["others"]:
        return  # opened before: the first opening stands, and other content is modulation's to reject
    force = memory["early"].get(audit_id)
    memory["early"] = without(memory["early"], audit_id)
    if not opened.respond:
        memory["others"] = [*memory["others"], audit_id][-limits.early_modulations :]
        return
    waits, model = desk.rules.waits, desk.policy.document.models.default_model
    given = application.given(opened, desk.policy)
    turn = new_turn(opened, force, memory["serial"], desk.after(waits.modulation_ms), model, limits, given)
    if _too_long(opened, given, limits):
        desk.close(audit_id, turn, "too_long")
        return
    held = sum(chars_of(other, limits) for other in memory["turns"].values())
    if len(memory["turns"]) >= limits.open_turns or held + chars_of(turn, limits) > limits.open_chars:
        desk.close(audit_id, turn, "too_many_turns")
        return
    desk.put(audit_id, turn)
    if force is not None and force["refusal"] == HELD and not application.observed(turn):
        hold(desk, turn)
    judge_input(desk, audit_id, turn)
    advance(desk, audit_id, turn)


def _too_long(opened: Opened, given: Json | None, limits: Limits) -> bool:
    """Whether the prompt, or the conversation that it is part of, has more characters than one may have."""
    if given is None or given["messages"] is None:
        return len(opened.prompt) > limits.prompt_chars
    return bool(given["chars"] > limits.messages_chars)


def _closed(desk: TurnContext, closed: Closed) -> None:
    """A turn that somebody closed, ourselves included: ours are retired by then, so it is the application's doing."""
    memory, audit_id = desk.memory, closed.audit_id
    if audit_id in memory["others"]:
        memory["others"] = [other for other in memory["others"] if other != audit_id]
    elif audit_id in memory["turns"]:
        desk.retire(audit_id, memory["turns"][audit_id])


def _modulated(desk: TurnContext, modulation: Modulation) -> None:
    memory, audit_id = desk.memory, modulation.audit_id
    if audit_id in memory["closed"] or audit_id in memory["others"]:
        return
    force, turn = force_of(modulation), desk.turn(audit_id)
    known = memory["early"].get(audit_id) if turn is None else turn["force"]
    if known is not None and known["revision"] >= force["revision"]:
        return
    if turn is None:
        memory["early"] = latest({**memory["early"], audit_id: force}, desk.rules.limits.early_modulations)
        return
    turn["force"] = force
    if turn["need"] is not None and force["risk"] >= turn["need"]:
        turn["need"] = None  # at once: a later, lower signal must not make the turn wait again
    if application.observed(turn):
        pass  # whatever it says is on record, and refuses nothing
    elif force["refusal"] == HELD:
        hold(desk, turn)
    elif force["refusal"] is not None and turn["phase"] != "opening":
        desk.close(audit_id, turn, force["refusal"])
        return
    advance(desk, audit_id, turn)
