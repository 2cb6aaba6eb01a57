"""What the audit remembers of one identity: a JSON object of bounded size. All functions return new values.

open:    {audit_id: turn}   turns without their bundle, and late facts of those that have one; oldest first
audited: [[audit_id, opening seen, closing seen, supplements, mode]]   turns with their bundle, oldest first; the mode
      is the last that was said, null where none was; older entries have none

turn: {supplement, since, last, opened, closed, modulation, revisions, signals, calls, incidents, requests, policies,
       records, omitted, interventions, said_mode, given?}
      supplement: 0, or the number of the supplement its facts will make; since, last: event time of the first fact
      that was seen, and the latest event time of all; the rest as `endocrine.agents.audit.collect` fills it in
"""

from typing import Any

from endocrine.agents.audit.rules import AuditRules

Json = dict[str, Any]
EMPTY: Json = {"open": {}, "audited": []}
SAFE_INTEGER = 2**53 - 1
"""Larger integers have no canonical form (RFC 8785): a bundle that held one could not be hashed."""


def fresh(supplement: int, ts: float, said_mode: str | None = None) -> Json:
    """A turn of which nothing is known yet. said_mode: what a bundle said already."""
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


def find(audited: list[Any], audit_id: str) -> list[Any] | None:
    """The entry of a turn that has its bundle; None where it has none, or too long ago."""
    return next((entry for entry in reversed(audited) if entry[0] == audit_id), None)


def remembered(audited: list[Any], audit_id: str, turn: Json, rules: AuditRules) -> list[Any]:
    """`audited` after a bundle or a supplement was said."""
    modulation = turn["modulation"]
    mode = turn.get("said_mode") if modulation is None else modulation["mode"]
    entry = [audit_id, turn["opened"] is not None, turn["closed"] is not None, turn["supplement"], mode]
    before = find(audited, audit_id)
    if before is None:
        return [*audited, entry][-rules.audited_turns :]
    merged = [audit_id, before[1] or entry[1], before[2] or entry[2], *entry[3:]]
    return [merged if one is before else one for one in audited]


def said_mode(entry: list[Any] | None) -> str | None:
    """The mode that a turn's bundle gave; None where it gave none, or has none yet."""
    return entry[4] if entry is not None and len(entry) > 4 else None


def oldest(turns: dict[str, Json]) -> str:
    """Which turn goes when there are too many: the oldest that was never seen opened, else the oldest.

    The newest stays: its opening may only be late.
    """
    names = list(turns)[:-1]
    return next((name for name in names if turns[name]["opened"] is None), names[0])


def counted(omitted: dict[str, int], kind: str) -> dict[str, int]:
    """One more of a kind that did not fit."""
    return {**omitted, kind: omitted.get(kind, 0) + 1}


def micros(ts: float) -> int:
    """Event time in whole microseconds, so that a deadline is met exactly."""
    return round(ts * 1e6)


def missing(turn: Json) -> list[str]:
    """What is expected and has not come, in words; empty when the turn's bundle can be said.

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


def overdue(turn: Json, ts: float, rules: AuditRules) -> bool:
    """Whether what is missing was waited for long enough at event time `ts`; never while the turn is open."""
    if turn["supplement"]:
        began = turn["since"]
    elif turn["closed"] is not None:
        began = turn["closed"]["ts"]
    elif is_refused(turn):
        began = turn["modulation"]["ts"]
    else:
        return False
    return micros(ts) >= micros(began) + rules.grace_ms * 1000


def is_refused(turn: Json) -> bool:
    """Whether the turn was refused for good; a held one still waits for a person."""
    modulation = turn["modulation"]
    return modulation is not None and not modulation["admitted"] and modulation["refusal"] != "held"
