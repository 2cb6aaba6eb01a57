"""The reflection agent: answers in, what they say about memories out (memory, section 5).

- A captured answer, or one that comes with a command, is held against the active memories of its subject: each that
  it agrees with is a `reinforcements` record.
- Where candidates are to be extracted, each find that is neither known, queued nor rejected before is a `candidates`
  record; the others are `memory-events` of kind `dropped`, which name the reason and not the content.
- It follows `memory-events`. It keeps no turn, so that a turn changes nothing here and costs no write: that each
  counts once is seen to by the memory agent.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.memories import content_digest, memory_id
from endocrine.agents._shared.subjects import finer, is_project
from endocrine.agents.contract import Output, State, Trigger, output_id
from endocrine.agents.reflection.extraction import EXTRACTOR, belongs, extract
from endocrine.agents.reflection.known import (
    EMPTY,
    ReflectionState,
    after_candidate,
    after_event,
    drop_reason,
    is_capped,
    matched_of,
)
from endocrine.agents.reflection.matcher import agrees, digests, matched
from endocrine.schemas.commands import MemoryExtract, MemoryReinforce
from endocrine.schemas.memory import Captured, MemoryEvent

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

MATCHER = "matcher-1"
"""Who reinforces, in `by`. It goes up with any change of the matcher that gives other matches."""
_IDLE = ("reinforced", "voted", "refused", "dropped")
"""Kinds of events that change neither content nor status."""


@dataclass(frozen=True)
class Reflection:
    """State key: the subject. State: `ReflectionState`."""

    name: str = "reflection"
    sources: tuple[str, ...] = ("memory-events", "captured", "commands")
    targets: tuple[str, ...] = ("reinforcements", "candidates", "memory-events")

    def key(self, trigger: Trigger) -> str:
        """Return the key: one state per subject. Commands that are not its own lie apart, under a key that never has a
        state: the ids of commands are kept beside a state, and would have it written."""
        if trigger.topic == "commands" and not isinstance(trigger.value, MemoryExtract | MemoryReinforce):
            return finer(trigger.identity, "")
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record. Never raises Reject."""
        value = trigger.value
        known: ReflectionState = EMPTY if state is None else state
        if isinstance(value, MemoryEvent):
            return (state, []) if value.kind in _IDLE else (after_event(known, value, policy.document.memory), [])
        if isinstance(value, MemoryReinforce):
            return state, _reinforced(known, trigger, value.audit_id, value.text, value.by, policy)
        if isinstance(value, MemoryExtract):
            answer = _Answer(
                text=value.text,
                interaction_id=value.audit_id,
                identity=value.turn_identity if is_project(trigger.identity) else trigger.identity,
                other=value.project is not None or is_project(trigger.identity),
                strength=None,
            )
            after, outputs = _extracted(known, trigger, answer, [], policy)
            return (state if after is known else after), outputs
        if not isinstance(value, Captured):
            return state, []
        outputs = (
            _reinforced(known, trigger, value.interaction_id, value.response, MATCHER, policy)
            if value.reinforce
            else []
        )
        if not value.extract:
            return state, outputs
        answer = _Answer(
            text=value.response,
            interaction_id=value.interaction_id,
            identity=value.identity,
            other=value.project is not None,
            strength=value.memory_write,
        )
        after, outputs = _extracted(known, trigger, answer, outputs, policy)
        return (state if after is known else after), outputs


AGENT = Reflection()


@dataclass(frozen=True)
class _Answer:
    """What candidates are extracted from."""

    text: str
    interaction_id: str
    identity: str | None
    """Whose turn it was, where that is known."""
    other: bool
    """Whether it is looked at under another subject too: an identity and its project."""
    strength: float | None


def _reinforced(
    state: ReflectionState, trigger: Trigger, interaction_id: str, text: str, by: str, policy: "Policy"
) -> list[Output]:
    """A record for each active memory that the answer agrees with, the oldest first."""
    if not state["active"]:
        return []
    rules, answer, outputs = policy.document.memory, digests(text), list[Output]()
    # The dearest loop of a closed turn. Most memories have no word of the answer, and are passed over by one call each.
    near = [name for name, row in state["active"].items() if not answer.isdisjoint(row[-1])]  # type: ignore[arg-type]
    for name in near:
        kept = matched_of(state["active"][name])
        count = matched(kept.stems, answer)
        if not agrees(count, len(kept.stems), rules.match):
            continue
        value: dict[str, Any] = {
            "subject": trigger.identity,
            "memory_id": name,
            "interaction_id": interaction_id,
            "matched": count,
            "total": len(kept.stems),
        }
        if state["beyond"] or kept.total > len(kept.stems):
            value["capped"] = True
        outputs.append(Output("reinforcements", trigger.identity, {**value, "by": by, "ts": trigger.value.ts}))
    return outputs


def _extracted(
    state: ReflectionState, trigger: Trigger, answer: _Answer, outputs: list[Output], policy: "Policy"
) -> tuple[ReflectionState, list[Output]]:
    """The outputs before, then a candidate or a drop for each find, in the answer's order."""
    rules, subject, ts = policy.document.memory, trigger.identity, trigger.value.ts
    produced = list(outputs)
    for found in extract(answer.text, rules.extraction):
        if not belongs(found.type, project=is_project(subject), other=answer.other, rules=rules.extraction):
            continue
        digest = content_digest(found.type, found.content)
        reason = drop_reason(state, digest, rules)
        if reason is not None:
            produced.append(
                _dropped(subject, found.type, found.slot, answer.interaction_id, reason, is_capped(state), ts)
            )
            continue
        created = memory_id(subject, output_id("reflection", trigger, len(produced)))
        value: dict[str, Any] = {
            "subject": subject,
            "memory_id": created,
            "type": found.type,
            "content": found.content,
            "slot": found.slot,
            "confidence": rules.extraction.confidence,
            "strength": answer.strength,
            "source": {
                "kind": "interaction",
                "interaction_id": answer.interaction_id,
                "identities": [] if answer.identity is None else [answer.identity],
                "rule": found.rule,
            },
        }
        if is_capped(state):
            value["capped"] = True
        produced.append(Output("candidates", subject, {**value, "by": EXTRACTOR, "ts": ts}))
        state = after_candidate(state, created, digest)
    return state, produced


def _dropped(
    subject: str, type_: str, slot: str | None, interaction_id: str, reason: str, capped: bool, ts: float
) -> Output:
    value = {
        "kind": "dropped",
        "subject": subject,
        "memory_id": None,
        "type": type_,
        "content": None,
        "slot": slot,
        "value": None,
        "old_status": None,
        "new_status": None,
        "confidence_before": None,
        "confidence_after": None,
        "interaction_id": interaction_id,
        **({"capped": True} if capped else {}),
        "reason": reason,
        "by": EXTRACTOR,
        "ts": ts,
    }
    return Output("memory-events", subject, value)
