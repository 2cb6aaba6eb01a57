"""The audit agent: it collects the records of a turn and produces them as one bundle when the turn is over.

- A bundle is produced at the first moment at which the turn is closed, or was refused, and nothing known is open: its
  first modulation seen, every call answered, every allowed call with its result, every request with its reply.
- What is missing is waited for until `grace_ms` of event time after the end of the turn: the first later record of the
  identity, a `tick` command too, ends the wait, and the bundle names what was missing.
- A turn that never ends is produced as `abandoned` when too many others came after it.
- An operator's command about a turn (`clear_risk`, `approve_turn`, `deny_turn`) is a fact of it where it is open.
- What comes after the bundle is produced as a supplement under the same audit_id, by the same rules.
- Outputs: the bundle of the record's own turn, then those whose wait is over, then those beyond the bound.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents.audit import memory
from endocrine.agents.audit.bundle import bundle
from endocrine.agents.audit.collect import TOPICS, add, intervened
from endocrine.agents.audit.memory import AuditState, Row, Turn
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.commands import ApproveTurn, ClearRisk, DenyTurn

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

TARGET = "audits"


@dataclass(frozen=True)
class Audit:
    """State key: the identity. State: `AuditState`; turns live inside."""

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
        "late-advice",
    )
    targets: tuple[str, ...] = (TARGET,)

    def key(self, trigger: Trigger) -> str:
        """Return one state per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Collect. Never raises Reject: what other agents reject shows in their records, or in missing ones."""
        known: AuditState = memory.EMPTY if state is None else state
        turns = known["open"]
        rules, bundles = policy.document.audit, _Bundles(trigger.identity, known["audited"])
        audit_id = trigger.value.audit_id if trigger.topic in TOPICS else None
        if isinstance(trigger.value, ClearRisk | ApproveTurn | DenyTurn):
            turns = intervened(turns, trigger.value, policy)
        if audit_id is not None:
            after = _extended(turns.get(audit_id), bundles.audited, audit_id, trigger, policy)
            if after is not None:
                turns = {**turns, audit_id: after}
                if not memory.missing(after):
                    turns = bundles.produce(turns, audit_id, [], policy)
        for name in [name for name, turn in turns.items() if memory.overdue(turn, trigger.value.ts, rules)]:
            turns = bundles.produce(turns, name, memory.missing(turns[name]), policy)
        while len(turns) > rules.open_turns:
            name = memory.oldest(turns)
            turns = bundles.produce(turns, name, memory.missing(turns[name]), policy)
        if turns is known["open"]:
            return state, []
        after_all: AuditState = {"open": turns, "audited": bundles.audited}
        return after_all, bundles.outputs


AGENT = Audit()


def _extended(turn: Turn | None, audited: list[Row], audit_id: str, trigger: Trigger, policy: "Policy") -> Turn | None:
    """Return the turn with the record's facts; None where it has no new one."""
    if turn is None:
        entry = memory.find(audited, audit_id)
        interaction = trigger.value.kind if trigger.topic == "interactions" else None
        if entry is not None and (
            (interaction == "opened" and entry.opened) or (interaction == "closed" and entry.closed)
        ):
            return None
        supplement = 0 if entry is None else entry.supplements + 1
        turn = memory.new_turn(supplement, trigger.value.ts, None if entry is None else entry.mode)
    return add(turn, trigger, policy)


class _Bundles:
    """Bundles that one record leads to, and the turns that have theirs."""

    def __init__(self, identity: str, audited: list[Row]) -> None:
        self.identity = identity
        self.audited = audited
        self.outputs: list[Output] = []

    def produce(self, turns: dict[str, Turn], name: str, incomplete: list[str], policy: "Policy") -> dict[str, Turn]:
        """Produce a turn's bundle or supplement; return the turns that remain."""
        turn = turns[name]
        value = bundle(self.identity, name, turn, _status(turn), incomplete)
        self.outputs.append(Output(TARGET, self.identity, value))
        self.audited = memory.with_audited(self.audited, name, turn, policy.document.audit)
        return {other: kept for other, kept in turns.items() if other != name}


def _status(turn: Turn) -> str:
    if turn["supplement"]:
        return "supplement"
    if turn["closed"] is not None:
        return "closed"
    if memory.is_refused(turn):
        return "refused"
    return "unopened" if turn["opened"] is None else "abandoned"
