"""State of the audit agent for one identity: a JSON object of bounded size. All functions return new values."""

from typing import Any, NamedTuple, NotRequired, TypedDict

from endocrine.agents.audit.rules import AuditRules

Json = dict[str, Any]
"""A part of a record."""
Row = list[Any]
"""A JSON array with the fields of `Audited`."""


class Call(TypedDict):
    """What is known of a tool call."""

    seen: bool
    """Whether the call itself was read."""
    function: str | None
    tool: str | None
    step: int | None
    ts: float | None
    arguments: str | None
    """Its summary, if the policy includes that."""
    decision: str | None
    reason: str | None
    incident_id: str | None
    result: Json | None
    runner: NotRequired[str | None]
    call_id: NotRequired[str]
    """Of a conflicting call that has an entry of its own."""


class Exchange(TypedDict):
    """A model request and its reply."""

    request: Json | None
    reply: Json | None


class Turn(TypedDict):
    """What is known of a turn."""

    supplement: int
    """0, or the number of the supplement its facts will make."""
    since: float
    """Event time of the first fact that was read, seconds."""
    last: float
    """Latest event time of all, seconds."""
    opened: Json | None
    closed: Json | None
    modulation: Json | None
    """Its latest revision."""
    revisions: list[Json]
    signals: list[Json]
    calls: dict[str, Call]
    incidents: dict[str, Json]
    requests: dict[str, Exchange]
    policies: list[str]
    records: dict[str, list[str]]
    """Ids of its records by topic."""
    omitted: dict[str, int]
    """Facts beyond the bounds, counted by kind."""
    interventions: NotRequired[list[Json]]
    said_mode: NotRequired[str | None]
    """The mode that its bundle gave."""
    given: NotRequired[Json]
    """What its application gave on opening."""
    late: NotRequired[Json]
    """That its application was given strict defaults in place of the parameters."""


class Audited(NamedTuple):
    """A turn that has its bundle."""

    audit_id: str
    opened: bool
    """Whether its opening was read."""
    closed: bool
    supplements: int
    mode: str | None = None
    """The last that was produced; absent in rows of earlier versions."""


class AuditState(TypedDict):
    """The state of one identity."""

    open: dict[str, Turn]
    """Turns without their bundle, and late facts of those that have one; oldest first."""
    audited: list[Row]
    """`Audited` turns, oldest first."""


EMPTY: AuditState = {"open": {}, "audited": []}
SAFE_INTEGER = 2**53 - 1
"""Larger integers have no canonical form (RFC 8785): a bundle that held one could not be hashed."""


def new_turn(supplement: int, ts: float, said_mode: str | None = None) -> Turn:
    """Return a turn of which nothing is known yet. said_mode: the mode that its bundle gave."""
    return {
        "supplement": supplement,
        "since": ts,
        "last": ts,
        "opened": None,
        "closed": None,
        "modulation": None,
        "revisions": [],
        "signals": [],
        "calls": {},
        "incidents": {},
        "requests": {},
        "policies": [],
        "records": {},
        "omitted": {},
        "interventions": [],
        "said_mode": said_mode,
    }


def find(audited: list[Row], audit_id: str) -> Audited | None:
    """Return the entry of a turn that has its bundle; None where it has none, or too long ago."""
    at = _place(audited, audit_id)
    return None if at is None else Audited(*audited[at])


def with_audited(audited: list[Row], audit_id: str, turn: Turn, rules: AuditRules) -> list[Row]:
    """Return `audited` after a bundle or a supplement was produced."""
    modulation = turn["modulation"]
    mode = turn.get("said_mode") if modulation is None else modulation["mode"]
    entry = Audited(audit_id, turn["opened"] is not None, turn["closed"] is not None, turn["supplement"], mode)
    at = _place(audited, audit_id)
    if at is None:
        return [*audited, list(entry)][-rules.audited_turns :]
    before = Audited(*audited[at])
    merged = entry._replace(opened=before.opened or entry.opened, closed=before.closed or entry.closed)
    return [*audited[:at], list(merged), *audited[at + 1 :]]


def _place(audited: list[Row], audit_id: str) -> int | None:
    return next((at for at in reversed(range(len(audited))) if Audited(*audited[at]).audit_id == audit_id), None)


def oldest(turns: dict[str, Turn]) -> str:
    """Return which turn goes when there are too many: the oldest that was never seen opened, else the oldest.

    The newest stays: its opening may only be late.
    """
    names = list(turns)[:-1]
    return next((name for name in names if turns[name]["opened"] is None), names[0])


def counted(omitted: dict[str, int], kind: str) -> dict[str, int]:
    """Return one more of a kind that did not fit."""
    return {**omitted, kind: omitted.get(kind, 0) + 1}


def micros(ts: float) -> int:
    """Return event time in whole microseconds, so that a deadline is met exactly."""
    return round(ts * 1e6)


def missing(turn: Turn) -> list[str]:
    """Return what is expected and has not come, for a person; empty when the turn's bundle can be produced.

    A supplement waits only for what its own facts lead to: where they come from is in the bundle.
    """
    whole = turn["supplement"] == 0
    wanted = []
    modulation = turn["modulation"]
    if whole:
        if turn["opened"] is None:
            wanted.append("the opening")
        if modulation is None:
            wanted.append("revision 0")
        if turn["closed"] is None and not is_refused(turn):
            wanted.append("the closing")
    for name, call in sorted(turn["calls"].items()):
        if whole and not call["seen"]:
            wanted.append(f"call {name}")
        if call["decision"] not in ("allowed", "denied") and (whole or call["seen"]):
            wanted.append(f"the decision on call {name}")
        if call["decision"] == "allowed" and call["result"] is None:
            wanted.append(f"the result of call {name}")
        if call["incident_id"] is not None and call["incident_id"] not in turn["incidents"]:
            wanted.append(f"incident {call['incident_id']}")
    for name, exchange in sorted(turn["requests"].items()):
        if exchange["request"] is None and whole:
            wanted.append(f"request {name}")
        if exchange["reply"] is None:
            wanted.append(f"the reply to request {name}")
    return wanted


def overdue(turn: Turn, ts: float, rules: AuditRules) -> bool:
    """Return whether what is missing was waited for long enough at event time `ts`; never while the turn is open."""
    if turn["supplement"]:
        began = turn["since"]
    elif turn["closed"] is not None:
        began = turn["closed"]["ts"]
    elif turn["modulation"] is not None and is_refused(turn):
        began = turn["modulation"]["ts"]
    else:
        return False
    return bool(micros(ts) >= micros(began) + rules.grace_ms * 1000)


def is_refused(turn: Turn) -> bool:
    """Return whether the turn was refused for good; a held one still waits for a person."""
    modulation = turn["modulation"]
    return bool(modulation is not None and not modulation["admitted"] and modulation["refusal"] != "held")
