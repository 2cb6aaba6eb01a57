"""The capture agent: closed turns in, what memory reads of them out (memory, section 4).

A closed turn is produced under its identity, and once more under its project where it has one, so that each subject's
memory has one owner. No prompt is in it: nothing that reads it needs one. Not captured: turns that were refused,
whoever closed them; that we withheld the answer of; that may not be kept at all (`memory_write` 0).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents._shared.subjects import project_subject
from endocrine.agents.capture.turns import (
    EMPTY,
    UNSEEN,
    CaptureState,
    OpenTurn,
    after_end,
    after_opening,
    after_revision,
    has_ended,
    open_turn,
    without_overdue,
)
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.commands import Tick
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.modulations import Modulation

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_ANSWERS = (None, "answered", "cut")
"""How a turn ended whose answer the user got. None: an application closed it."""
_CONSERVATIVE = ("hook", "ingest")
"""Doors that reinforce nothing unless they ask for it: what they bring was answered without our memories."""


@dataclass(frozen=True)
class Capture:
    """State key: the identity. State: `CaptureState`."""

    name: str = "capture"
    sources: tuple[str, ...] = ("interactions", "modulations", "commands")
    targets: tuple[str, ...] = ("captured",)

    def key(self, trigger: Trigger) -> str:
        """Return the key: one state per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record. Never raises Reject: a second opening or closing of a turn changes nothing."""
        value, rules = trigger.value, policy.document.capture
        if trigger.topic == "commands" and not isinstance(value, Tick):
            return state, []
        before: CaptureState = EMPTY if state is None else state
        after, outputs = without_overdue(before, value.ts, rules), list[Output]()
        if isinstance(value, Opened):
            if open_turn(after, value.audit_id) is None and not has_ended(after, value.audit_id):
                after = after_opening(after, value, rules)
        elif isinstance(value, Modulation):
            turn = open_turn(after, value.audit_id)
            if turn is not None and turn.admitted != value.admitted:
                after = after_revision(after, value.audit_id, turn._replace(admitted=value.admitted))
        elif isinstance(value, Closed) and not has_ended(after, value.audit_id):
            turn = open_turn(after, value.audit_id) or UNSEEN
            after = after_end(after, value.audit_id, rules)
            if turn.admitted and value.finish in _ANSWERS and value.memory_write != 0.0:
                outputs = _captured(trigger.identity, turn, value, extract=policy.document.memory.extract_live)
        return (state if after is before else after), outputs


AGENT = Capture()


def _captured(identity: str, turn: OpenTurn, closed: Closed, *, extract: bool) -> list[Output]:
    of_project = project_subject(turn.project)
    reinforce = closed.door not in _CONSERVATIVE if closed.reinforce is None else closed.reinforce
    optional = {"memory_write": closed.memory_write, "finish": closed.finish}
    outputs = []
    for subject in (identity, of_project):
        if subject is not None:
            value = {
                "subject": subject,
                "identity": identity,
                "interaction_id": closed.audit_id,
                "project": None if of_project is None else turn.project,
                "session_id": turn.session_id,
                "turn": turn.turn,
                "client": turn.client,
                "response": closed.response,
                "memories_used": closed.memories_used,
                "chunks_used": closed.chunks_used,
                **{name: given for name, given in optional.items() if given is not None},
                "reinforce": reinforce,
                "extract": extract,
                "created_at": turn.ts,
                "ts": closed.ts,
            }
            outputs.append(Output("captured", subject, value))
    return outputs
