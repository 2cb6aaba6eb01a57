"""What operators read and write: bonds, trusted state, memories, conflicts, context packs.

Pure: requests, and what their answers mean.

Reads fail open: where the gateway is away they give `UNAVAILABLE`. Writes fail closed: what is not confirmed is raised.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from endocrine_client.errors import Refused
from endocrine_client.protocol import Answer

Json = dict[str, Any]
UNAVAILABLE: Mapping[str, Any] = {"status": "unavailable", "fail_open": True}
"""What a read gives where the gateway, or its read models, cannot be asked."""
READ_S = 10.0
"""Seconds that a read may take."""
MARGIN_S = 5.0
"""Seconds that a write may take beside the wait for its event."""
T = TypeVar("T")


@dataclass(frozen=True)  # no NamedTuple: before Python 3.11 that cannot be generic
class Operation(Generic[T]):
    """One request of an operator, and what its answer means."""

    method: str
    path: str
    query: Json
    content: bytes | None
    headers: Json
    within_s: float
    meant: Callable[[Answer], T]


def reading(path: str, **query: Any) -> Operation[Json]:
    """A read; parameters that are None are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return Operation("GET", path, given, None, {}, READ_S, _read)


def writing(path: str, wait_s: int | None, value: Json, *, method: str = "POST") -> Operation[Json]:
    """A write that waits for its event, for at most `wait_s` seconds; None: it has no event.

    Fields that are None are left out. Raises ValueError: no JSON.
    """
    given = {name: part for name, part in value.items() if part is not None}
    headers: Json = {"idempotency-key": uuid.uuid4().hex}
    query: Json = {} if wait_s is None else {"wait": wait_s}
    content = None
    if method == "DELETE":
        query |= given
    else:
        content = json.dumps(given, allow_nan=False, ensure_ascii=False).encode()
        headers["content-type"] = "application/json"
    return Operation(method, path, query, content, headers, (wait_s or 0) + MARGIN_S, _written)


def named(begin: str, name: str, end: str = "") -> str:
    """A path with a name in it, which may hold any character."""
    return f"{begin}/{quote(name, safe='')}{end}"


def _read(answer: Answer) -> Json:
    if answer.status == 200:
        return answer.value
    if answer.status == 0 or answer.status >= 500 or answer.status in (408, 429):
        return dict(UNAVAILABLE)
    raise _refused(answer)


def _written(answer: Answer) -> Json:
    if answer.status in (200, 202):
        return answer.value
    raise _refused(answer)


def _refused(answer: Answer) -> Refused:
    reason = answer.value.get("reason") or answer.kind or "unavailable"
    detail = answer.value.get("detail")
    message = str(answer) + (f": {detail}" if isinstance(detail, str) else "")
    return Refused(message, reason=str(reason), outcome=answer.value.get("outcome"))


class Operations:
    """The operations of both clients; `_operate` sends one, each client in its way."""

    def _operate(self, operation: Operation[Json]) -> Any:
        raise NotImplementedError

    def bonds(
        self, *, phase: str | None = None, risk: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Any:
        """Bonds, the last updated first: `items`, `next`, `foreign_keys`; `UNAVAILABLE` where they cannot be read."""
        return self._operate(reading("/v1/bonds", phase=phase, risk=risk, limit=limit, cursor=cursor))

    def bond(self, identity: str) -> Any:
        """The bond of an identity. Raises Refused, reason `not_found`, without one."""
        return self._operate(reading(named("/v1/bonds", identity)))

    def bond_events(self, identity: str, *, limit: int | None = None) -> Any:
        """What happened to it, newest first: `items`."""
        return self._operate(reading(named("/v1/bonds", identity, "/events"), limit=limit))

    def bond_check(self, identity: str, *, at: float | None = None) -> Any:
        """Whether a message would be within the cap: `allowed`, `remaining`, `resets_at`. Advice: it writes nothing."""
        return self._operate(reading(named("/v1/bonds", identity, "/check"), at=at))

    def set_cap(self, identity: str, cap: int, *, wait_s: int = 5) -> Any:
        """Set the daily message cap, 0 unlimited: `id`, and `outcome`, the event; None where none came in time."""
        return self._operate(writing("/v1/commands/cap", wait_s, {"identity": identity, "cap": cap}))

    def add_note(self, identity: str, text: str, *, wait_s: int = 5) -> Any:
        """Add a note to a bond; as `set_cap`."""
        return self._operate(writing("/v1/commands/note", wait_s, {"identity": identity, "text": text}))

    def trusted_state(self, subject: str, *, category: str | None = None, everything: bool = False) -> Any:
        """What is stated about an identity, or `project:` and a project's id: `items`. everything: superseded, too."""
        given = "true" if everything else None
        return self._operate(reading(named("/v1/trusted", subject), category=category, all=given))

    def state_set(
        self,
        subject: str,
        category: str,
        key: str,
        value: str,
        *,
        source: str | None = None,
        confidence: float | None = None,
        wait_s: int = 5,
    ) -> Any:
        """State something: `id`, and `outcome`, the event; None where none came in time. Raises Refused."""
        written = {"category": category, "key": key, "value": value, "source": source, "confidence": confidence}
        return self._operate(writing(named("/v1/trusted", subject), wait_s, written))

    def state_invalidate(
        self, subject: str, category: str, key: str, *, reason: str | None = None, wait_s: int = 5
    ) -> Any:
        """End an entry; as `state_set`. Raises Refused, reason `absent`, where nothing is active there."""
        written = {"category": category, "key": key, "reason": reason}
        return self._operate(writing(named("/v1/trusted", subject), wait_s, written, method="DELETE"))

    def interactions(self, **filters: Any) -> Any:
        """Turns, newest first, without their texts: `items`, `next`.

        filters: `identity`, `project`, `session_id`, `client`, `since`, `limit`, `cursor`.
        """
        return self._operate(reading("/v1/interactions", **filters))

    def interaction(self, audit_id: str) -> Any:
        """One turn; with the scope content its texts too. Raises Refused, reason `gone`, past its retention."""
        return self._operate(reading(named("/v1/interactions", audit_id)))

    def audit(self, audit_id: str) -> Any:
        """The audit bundle of a turn: why it was answered so. Raises Refused, reason `not_found`, without one."""
        return self._operate(reading(named("/v1/audits", audit_id)))

    def extract(self, audit_id: str, *, persist: bool = False) -> Any:
        """What the rules find in the answer of a turn: `items`; persist: candidates are made of it. Raises Refused."""
        return self._operate(writing(named("/v1/interactions", audit_id, "/extract"), None, {"persist": persist}))

    def reinforce(self, audit_id: str) -> Any:
        """Hold the answer of a turn against the memories of its subjects: `sent`. Raises Refused."""
        return self._operate(writing(named("/v1/interactions", audit_id, "/reinforce"), None, {}))

    def memories(
        self,
        subject: str,
        *,
        status: str | None = None,
        type: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Any:
        """Memories of an identity, or of `project:` and a project's id, the oldest first: `items`, `next`."""
        given = {"subject": subject, "status": status, "type": type, "limit": limit, "cursor": cursor}
        return self._operate(reading("/v1/memories", **given))

    def memory_create(
        self,
        subject: str,
        content: str,
        *,
        type: str = "knowledge",
        slot: str | None = None,
        status: str | None = None,
        confidence: float | None = None,
        wait_s: int = 5,
    ) -> Any:
        """Write a memory: `id`, and `outcome`, the event; None where none came in time. Raises Refused."""
        written = {"subject": subject, "content": content, "type": type, "slot": slot, "status": status,
                "confidence": confidence}  # fmt: skip
        return self._operate(writing("/v1/memories", wait_s, written))

    def memory_promote(self, subject: str, memory_id: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Make a candidate active; as `memory_create`. None too where it is active already."""
        return self._changed("promote", subject, memory_id, wait_s, reason=reason)

    def memory_reject(self, subject: str, memory_id: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Make a candidate invalid, so that it is not proposed again."""
        return self._changed("reject", subject, memory_id, wait_s, reason=reason)

    def memory_supersede(
        self,
        subject: str,
        memory_id: str,
        *,
        superseded_by: str | None = None,
        reason: str | None = None,
        wait_s: int = 5,
    ) -> Any:
        """Take an active memory out of force, as another says it better."""
        return self._changed("supersede", subject, memory_id, wait_s, superseded_by=superseded_by, reason=reason)

    def memory_invalidate(self, subject: str, memory_id: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Make an active memory invalid."""
        return self._changed("invalidate", subject, memory_id, wait_s, reason=reason)

    def memory_update(
        self,
        subject: str,
        memory_id: str,
        *,
        content: str | None = None,
        confidence: float | None = None,
        version: int | None = None,
        reason: str | None = None,
        wait_s: int = 5,
    ) -> Any:
        """Change a candidate or an active memory; with a version only where it has no later one (`older_version`)."""
        fields = {"content": content, "confidence": confidence, "version": version, "reason": reason}
        return self._changed("update", subject, memory_id, wait_s, **fields)

    def memory(self, subject: str, memory_id: str) -> Any:
        """One memory. Raises Refused, reason `not_found`, without one."""
        return self._operate(reading(named("/v1/memories", memory_id), subject=subject))

    def opinion(self, subject: str, memory_id: str, opinion: str, confidence: float = 1.0, *, wait_s: int = 5) -> Any:
        """Say what the caller holds of a memory, `for` or `against`: opinions make its strength. Raises Refused."""
        return self._changed("opinion", subject, memory_id, wait_s, opinion=opinion, confidence=confidence)

    def _changed(self, name: str, subject: str, memory_id: str, wait_s: int, **fields: Any) -> Any:
        return self._operate(
            writing(named("/v1/memories", memory_id, f"/{name}"), wait_s, {"subject": subject, **fields})
        )

    def approvals(
        self,
        *,
        kind: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Any:
        """Tool calls and held turns that wait for a person, the next deadline first: `items`, `next`.

        kind: call or turn. With the scope content each has its arguments or its prompt.
        """
        return self._operate(reading("/v1/approvals", kind=kind, identity=identity, limit=limit, cursor=cursor))

    def approve(self, waiting: Mapping[str, Any], *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Let a call or a held turn of `approvals` go on: `id`, `outcome`. Raises Refused."""
        return self._answered("approve", waiting, reason, wait_s)

    def deny(self, waiting: Mapping[str, Any], *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Refuse a call or a held turn of `approvals`: `id`, `outcome`. Raises Refused."""
        return self._answered("deny", waiting, reason, wait_s)

    def _answered(self, answer: str, waiting: Mapping[str, Any], reason: str | None, wait_s: int) -> Any:
        a_call = waiting["kind"] == "call"
        which = "call_id" if a_call else "audit_id"
        path = named("/v1/commands", answer if a_call else f"{answer}-turn")
        fields = {"identity": waiting["identity"], which: waiting[which], "reason": reason}
        return self._operate(writing(path, wait_s, fields))

    def conflicts(self, subject: str, *, status: str | None = None) -> Any:
        """The latest conflict of each slot of a subject: `items`."""
        return self._operate(reading("/v1/conflicts", subject=subject, status=status))

    def conflict_resolve(
        self,
        subject: str,
        slot: str,
        conflict_id: str,
        action: str,
        *,
        winner: str | None = None,
        reason: str | None = None,
        wait_s: int = 5,
    ) -> Any:
        """End an open conflict: `supersede_others` with a winner, `no_action` or `dismiss`. Raises Refused."""
        written = {"subject": subject, "slot": slot, "action": action, "winner": winner, "reason": reason}
        return self._operate(writing(named("/v1/conflicts", conflict_id, "/resolve"), wait_s, written))

    def names(self, *, scope: str | None = None, limit: int | None = None, cursor: str | None = None) -> Any:
        """Registered ids and their aliases: `items`, `next`. scope: identity or project."""
        return self._operate(reading("/v1/names", scope=scope, limit=limit, cursor=cursor))

    def links(self, identity: str, *, status: str | None = None) -> Any:
        """Links of an identity to others, the highest score first: `items`. Advice; never a gate."""
        return self._operate(reading(named("/v1/identities", identity, "/links"), status=status))

    def link_group(self, identity: str) -> Any:
        """The identities that applied links connect with one: `members`, `truncated`."""
        return self._operate(reading(named("/v1/identities", identity, "/group")))

    def link_apply(self, identity: str, other: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Say that two identities are one actor's: `id`, `outcome`. Raises Refused, reason `below_threshold`."""
        return self._linked("apply", identity, other, reason, wait_s)

    def link_reverse(self, identity: str, other: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Take that back; the evidence is kept."""
        return self._linked("reverse", identity, other, reason, wait_s)

    def link_dismiss(self, identity: str, other: str, *, reason: str | None = None, wait_s: int = 5) -> Any:
        """Say that they are not one actor's: not proposed again without a new kind of evidence."""
        return self._linked("dismiss", identity, other, reason, wait_s)

    def _linked(self, verb: str, identity: str, other: str, reason: str | None, wait_s: int) -> Any:
        path = named("/v1/identities", identity, f"/links/{verb}")
        return self._operate(writing(path, wait_s, {"other": other, "reason": reason}))

    def context(
        self,
        identity: str,
        prompt: str,
        *,
        project: str | None = None,
        auto: bool = False,
        budget: int | None = None,
        passages: int | None = None,
    ) -> Any:
        """A context pack: `formatted_context` for a turn's `context_pack`; `UNAVAILABLE` where the gateway is away.

        auto: without a project, the registered one that the prompt names.
        """
        asked = {"identity": identity, "prompt": prompt, "project": project, "auto": auto, "budget": budget,
                 "passages": passages}  # fmt: skip
        return self._operate(replace(writing("/v1/context", None, asked), within_s=READ_S, meant=_read))
