"""What stays of a slot when memories among its members are erased (memory, section 10). Pure."""

from typing import TYPE_CHECKING, cast

from endocrine.agents.conflicts.judge import Cause, judge, record_of
from endocrine.agents.conflicts.rekey import without
from endocrine.agents.conflicts.slot import SlotState
from endocrine.agents.contract import Output, State, Trigger

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def memories_in(state: SlotState) -> set[str]:
    """Return the ids of all that a slot and its latest conflict name."""
    conflict = state["conflict"]
    shown = [] if conflict is None else [one["id"] for one in conflict["members"]]
    return {*state["members"], *state["marked"], *shown}


def reduced(state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
    """Return a slot without some memories, judged anew, and the record of its conflict without them."""
    known, command = cast(SlotState, state), trigger.value
    gone = memories_in(known) & {*command.memory_ids}
    if not gone:
        return state, []
    after = without(known, gone)
    if (conflict := after["conflict"]) is not None:
        members = [one for one in conflict["members"] if one["id"] not in gone]
        winner = None if conflict["winner"] in gone else conflict["winner"]
        after = {**after, "conflict": {**conflict, "members": members, "winner": winner}}
    cause = Cause(trigger.identity, command.key.rpartition("/")[2], trigger.id, command.by, command.ts)
    after, outputs = judge(after, cause)
    if (conflict := after["conflict"]) is not None and not any(one.topic == "conflicts" for one in outputs):
        outputs = [record_of(after, conflict, cause), *outputs]
    return after, outputs
