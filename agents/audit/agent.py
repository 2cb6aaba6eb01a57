"""The audit agent: it listens to everything said about a turn and says it once, together, when the turn is over.

- A bundle is said at the first moment at which the turn is closed, or was refused, and nothing known is open: its first
  modulation seen, every call answered, every allowed call with its result, every request with its reply.
- What is missing is waited for until `grace_ms` of event time after the end of the turn: the first later record of the
  identity, a `tick` command too, ends the wait, and the bundle names what was missing.
- A turn that never ends is said as `abandoned` when too many others came after it.
- An operator's command about a turn (`clear_risk`, `approve_turn`, `deny_turn`) is a fact of it where it is open.
- What comes after the bundle is said as a supplement under the same audit_id, by the same rules.
- Outputs: the bundle of the record's own turn, then those whose wait is over, then what had to give way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents.audit import memory
from endocrine.agents.audit.bundle import bundle
from endocrine.agents.audit.collect import TOPICS, add, intervened
from endocrine.agents.audit.memory import Json
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.commands import ApproveTurn, ClearRisk, DenyTurn

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

TARGET = "audits"


@dataclass(frozen=True)
class Audit:
    """State key: the identity; turns live inside, as `endocrine.agents.audit.memory` describes."""

    name: str = "audit"
    sources: tuple[str, ...] = (
        "commands",
        "interactions",
        "modulations",
        "tool-calls",
        "tool-decisions",
        "tool-results",
        "incidents",
        "model-requests",
        "model-replies",
    )
    targets: tuple[str, ...] = (TARGET,)

    def key(self, trigger: Trigger) -> str:
        """One state per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Never raises Reject: what others reject is told by what they say, or by nothing coming of it."""
        known: Json = memory.EMPTY if state is None else state
        turns: dict[str, Json] = known["open"]
        rules, said = policy.document.audit, _Said(trigger.identity, known["audited"])
        audit_id = trigger.value.audit_id if trigger.topic in TOPICS else None
        if isinstance(trigger.value, ClearRisk | ApproveTurn | DenyTurn):
            turns = intervened(turns, trigger.value, policy)
        if audit_id is not None:
            after = _heard(turns.get(audit_id), said.audited, audit_id, trigger, policy)
            if after is not None:
                turns = {**turns, audit_id: after}
                if not memory.missing(after):
                    turns = said.say(turns, audit_id, [], policy)
        for name in [name for name, turn in turns.items() if memory.overdue(turn, trigger.value.ts, rules)]:
            turns = said.say(turns, name, memory.missing(turns[name]), policy)
        while len(turns) > rules.open_turns:
            name = memory.oldest(turns)
            turns = said.say(turns, name, memory.missing(turns[name]), policy)
        if turns is known["open"]:
            return state, []
        return {"open": turns, "audited": said.audited}, said.outputs


AGENT = Audit()


def _heard(turn: Json | None, audited: list[Any], audit_id: str, trigger: Trigger, policy: "Policy") -> Json | None:
    """The turn with what the record says; None where it is nothing new."""
    if turn is None:
        entry = memory.find(audited, audit_id)
        if entry is not None and trigger.topic == "interactions":
            opened, closed = entry[1:3]
            if opened if trigger.value.kind == "opened" else closed:
                return None
        supplement = 0 if entry is None else entry[3] + 1
        turn = memory.fresh(supplement, trigger.value.ts, memory.said_mode(entry))
    return add(turn, trigger, policy)


class _Said:
    """Bundles of one record, and the turns that have theirs."""

    def __init__(self, identity: str, audited: list[Any]) -> None:
        self.identity = identity
        self.audited = audited
        self.outputs: list[Output] = []

    def say(self, turns: dict[str, Json], name: str, incomplete: list[str], policy: "Policy") -> dict[str, Json]:
        """Say a turn's bundle or supplement; the turns that remain."""
        turn = turns[name]
        told = bundle(self.identity, name, turn, _status(turn), incomplete)
        self.outputs.append(Output(TARGET, self.identity, told))
        self.audited = memory.remembered(self.audited, name, turn, policy.document.audit)
        return {other: kept for other, kept in turns.items() if other != name}


def _status(turn: Json) -> str:
    if turn["supplement"]:
        return "supplement"
    if turn["closed"] is not None:
        return "closed"
    if memory.is_refused(turn):
        return "refused"
    return "unopened" if turn["opened"] is None else "abandoned"
