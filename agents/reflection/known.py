"""State of the reflection agent for one subject: what of its memories answers are held against. Of bounded size."""

from typing import Literal, NamedTuple, TypedDict

from endocrine.agents._shared.memories import content_digest
from endocrine.agents.memory.rules import MemoryRules
from endocrine.agents.reflection.matcher import stems
from endocrine.schemas.memory import MemoryEvent

Row = list[str | int | list[int]]
"""A JSON array with the fields of `Matched`."""
Drop = Literal["known", "queued", "rejected_before", "queue_full"]


class Matched(NamedTuple):
    """An active memory."""

    digest: str
    """Of its type and content."""
    total: int
    """Stems that it has; 0: it is never matched."""
    stems: list[int]
    """CRC-32 of each, of many the smallest, ascending."""


class ReflectionState(TypedDict):
    """The state of one subject."""

    active: dict[str, Row]
    """`Matched` by memory_id, the newest last."""
    beyond: int
    """Active memories that are not among them."""
    queue: dict[str, str]
    """Digests of candidates by memory_id, the newest last."""
    queued_beyond: int
    """Candidates that are not among them."""
    settled: dict[str, Literal["active", "invalid"]]
    """Status by digest, of memories that were rejected or invalidated, and of active ones that are `beyond`."""
    forgotten: bool
    """Whether some of these are out."""


EMPTY: ReflectionState = {
    "active": {},
    "beyond": 0,
    "queue": {},
    "queued_beyond": 0,
    "settled": {},
    "forgotten": False,
}


def matched_of(row: Row) -> Matched:
    """Return an active memory from its array."""
    return Matched(*row)  # type: ignore[arg-type]


def is_capped(state: ReflectionState) -> bool:
    """Return whether the subject has more than is kept of it."""
    return bool(state["beyond"] or state["queued_beyond"] or state["forgotten"])


def drop_reason(state: ReflectionState, digest: str, rules: MemoryRules) -> Drop | None:
    """Return why a candidate with this digest is not taken; None where it is."""
    settled = state["settled"].get(digest)
    if settled == "active" or any(row[0] == digest for row in state["active"].values()):
        return "known"
    if digest in state["queue"].values():
        return "queued"
    if settled == "invalid":
        return "rejected_before"
    return "queue_full" if len(state["queue"]) + state["queued_beyond"] >= rules.candidates else None


def after_candidate(state: ReflectionState, memory_id: str, digest: str) -> ReflectionState:
    """Return the state with one more candidate, before it is known as a memory: so that none comes twice meanwhile."""
    return {**state, "queue": {**state["queue"], memory_id: digest}}


def after_event(state: ReflectionState, event: MemoryEvent, rules: MemoryRules) -> ReflectionState:
    """Return the state after a memory took its content or its status; both are in the event."""
    if event.memory_id is None or event.type is None or event.content is None:
        return state
    digest = content_digest(event.type, event.content)
    state = _without(state, event.memory_id, event.old_status, digest)
    if event.new_status == "active":
        return _with_active(state, event.memory_id, event.content, digest, rules)
    if event.new_status == "candidate":
        queue = {**state["queue"], event.memory_id: digest}
        surplus = max(0, len(queue) - rules.candidates)
        return {
            **state,
            "queue": dict(list(queue.items())[surplus:]),
            "queued_beyond": state["queued_beyond"] + surplus,
        }
    return _settled(state, {digest: "invalid"}, rules) if event.new_status == "invalid" else state


def bounded(state: ReflectionState, rules: MemoryRules) -> ReflectionState:
    """Return the state within its bounds: of more active memories and candidates the oldest are only counted."""
    rows, queue = list(state["active"].items()), list(state["queue"].items())
    surplus, queued = max(0, len(rows) - rules.active), max(0, len(queue) - rules.candidates)
    out: dict[str, Literal["active", "invalid"]] = {matched_of(row).digest: "active" for _, row in rows[:surplus]}
    kept = {one: status for one, status in state["settled"].items() if one not in out} | out
    forgotten = max(0, len(kept) - rules.settled)
    return {
        "active": dict(rows[surplus:]),
        "beyond": state["beyond"] + surplus,
        "queue": dict(queue[queued:]),
        "queued_beyond": state["queued_beyond"] + queued,
        "settled": dict(list(kept.items())[forgotten:]),
        "forgotten": state["forgotten"] or forgotten > 0,
    }


def _without(state: ReflectionState, memory_id: str, old_status: str | None, digest: str) -> ReflectionState:
    if memory_id in state["active"]:
        return {**state, "active": {name: row for name, row in state["active"].items() if name != memory_id}}
    if memory_id in state["queue"]:
        return {**state, "queue": {name: one for name, one in state["queue"].items() if name != memory_id}}
    if old_status == "active":
        settled = {one: status for one, status in state["settled"].items() if (one, status) != (digest, "active")}
        return {**state, "beyond": max(0, state["beyond"] - 1), "settled": settled}
    if old_status == "candidate":
        return {**state, "queued_beyond": max(0, state["queued_beyond"] - 1)}
    return state


def _with_active(
    state: ReflectionState, memory_id: str, content: str, digest: str, rules: MemoryRules
) -> ReflectionState:
    """With one more active memory, the newest. Of more than the bound the oldest keeps its digest only."""
    words = stems(content, least_chars=rules.least_chars, most=rules.stems)
    row: Row = [digest, 0, []] if words is None else [digest, words.total, words.digests]
    rows = [*state["active"].items(), (memory_id, row)]
    surplus = max(0, len(rows) - rules.active)
    out: dict[str, Literal["active", "invalid"]] = {matched_of(row).digest: "active" for _, row in rows[:surplus]}
    settled = {one: status for one, status in state["settled"].items() if one != digest}
    after: ReflectionState = {
        **state,
        "active": dict(rows[surplus:]),
        "beyond": state["beyond"] + surplus,
        "settled": settled,
    }
    return _settled(after, out, rules)


def _settled(
    state: ReflectionState, more: dict[str, Literal["active", "invalid"]], rules: MemoryRules
) -> ReflectionState:
    """With some digests more, the latest last; of more than the bound the oldest are out."""
    if not more:
        return state
    kept = {one: status for one, status in state["settled"].items() if one not in more} | more
    surplus = max(0, len(kept) - rules.settled)
    return {
        **state,
        "settled": dict(list(kept.items())[surplus:]),
        "forgotten": state["forgotten"] or surplus > 0,
    }
