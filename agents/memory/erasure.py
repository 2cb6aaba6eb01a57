"""What stays of a memory when somebody whom it is from is erased (memory, section 10). Pure."""

from typing import TYPE_CHECKING, Any, cast

from endocrine.agents.contract import Erased, Output, State, Trigger
from endocrine.agents.memory import consensus
from endocrine.agents.memory.entry import Entry, MemoryState, changed

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def sources_of(state: MemoryState) -> list[str]:
    """Return the identities that a memory is from."""
    return state["entry"]["source"]["identities"]


def named_in(state: MemoryState, subject: str) -> bool:
    """Return whether a memory names an identity: among its sources, among who holds an opinion of it, or as who changed
    it last."""
    voters = state["opinions"]["voters"] if "opinions" in state else {}
    return subject in sources_of(state) or subject in voters or subject == state["entry"]["by"]


def is_from_alone(state: MemoryState, subject: str) -> bool:
    """Return whether a memory is from one identity and nobody else."""
    return set(sources_of(state)) == {subject}


def reduced(state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
    """Return a memory of another subject without the erased one; no memory where it was from that one alone."""
    known, command = cast(MemoryState, state), trigger.value
    before: Entry = known["entry"]
    if not named_in(known, command.of):
        return state, []
    if is_from_alone(known, command.of):
        return None, [Output("memories", before["subject"], Erased(memory_id=before["memory_id"]))]
    more: dict[str, Any] = {
        "source": {**before["source"], "identities": [one for one in sources_of(known) if one != command.of]}
    }
    if "opinions" in known:
        voters = {name: vote for name, vote in known["opinions"]["voters"].items() if name != command.of}
        known = {**known, "opinions": {**known["opinions"], "voters": voters}}
        more["strength"] = consensus.tally(voters, policy.document.memory.consensus).strength
    # Who wrote it stays as it was, unless it is whom the erasure is of: it is no word about the memory itself.
    by = command.by if before["by"] == command.of else before["by"]
    after = changed(before, by, command.ts, **more)
    return {**known, "entry": after}, [Output("memories", after["subject"], after)]
