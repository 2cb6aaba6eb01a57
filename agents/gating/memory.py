"""What the gate remembers of one identity: a JSON object of bounded size. All functions return new values.

turns:  {audit_id: turn}   open turns, oldest first
early:  {audit_id: force}  modulations whose turn was not seen opened yet, oldest first
closed: [audit_id]         recently closed turns, oldest first
clock:  the identity's clock (agents._shared.clock), moved by every record since there was anything to remember
calls, blind?              endocrine.agents.gating.calls
pending: [question]        calls that wait for a person, oldest first; with audit_id and expires
rates, circuits            endocrine.agents.gating.limits
met                        endocrine.agents.gating.sequences

declared                   endocrine.agents.gating.application

turn:   {prompt_hmac, force, cut, waiting, answered?, expects?, crowded?, met?, awaited?, declared?, client?}
        force: null until the first modulation; cut: null, or the list the turn was cut to when a call was blocked;
        expects: the revision that the cut leads to; waiting: questions to be decided when the first modulation arrives,
        or the turn is no longer held; crowded: gating.calls; declared: digest of the functions that the
        application declares, client: whose rules hold for them
force:  {revision, mode, allowlist, refusal, application?}; application: {function: digest of its schema}
question: {call_id, function, valid, step, ts, digest, declared?, barred?, person?, begins?, ends?, agreed?}
        declared: whether the arguments fit the function of that name that the turn declares
        digest: of the arguments, null where they cannot be read; barred: a reason that the call alone gives;
        person: the arguments are such that the tool needs a person; begins, ends: names of sequence rules. All of them
        and valid are judged when the call arrives, so that arguments, which are content, are never stored. agreed: when
        a person agreed
"""

from collections.abc import Mapping
from typing import Any

from endocrine.schemas.modulations import Modulation

Json = dict[str, Any]

EMPTY: Mapping[str, Any] = {
    "clock": None,
    "turns": {},
    "early": {},
    "closed": [],
    "calls": {},
    "pending": [],
    "rates": {},
    "circuits": {},
    "met": {},
}


def latest(entries: Mapping[str, Any], most: int) -> Json:
    """The newest `most` entries, in their order."""
    return dict(list(entries.items())[-most:])


def without(entries: Mapping[str, Any], key: str) -> Json:
    """All entries but one."""
    return {k: v for k, v in entries.items() if k != key}


def force_of(modulation: Modulation, application: Mapping[str, str]) -> Json:
    """What of a modulation the gate holds a turn to. application: as `application.in_force` gives it."""
    force: Json = {
        "revision": modulation.revision,
        "mode": modulation.mode,
        "allowlist": list(modulation.parameters.tool_allowlist),
        "refusal": modulation.refusal,
    }
    return {**force, "application": application} if application else force


def is_newer(force: Json, known: Json | None) -> bool:
    """Whether a modulation replaces the one known: revisions only rise."""
    return known is None or bool(force["revision"] > known["revision"])


def allowlist_of(turn: Json) -> list[str]:
    """The canonical names in force: the modulation's, without what the gate cut. A cut is never undone."""
    cut = turn["cut"]
    return [tool for tool in turn["force"]["allowlist"] if cut is None or tool in cut]


def waits(turn: Json) -> bool:
    """Whether calls of an open turn wait: for its first modulation, or until it is no longer held."""
    return turn["force"] is None or turn["force"]["refusal"] == "held"


def revision_of(turn: Json | None) -> int | None:
    """The revision in force, or on its way after a cut; None where no modulation of the turn is known."""
    if turn is None or turn["force"] is None:
        return None
    return max(int(turn["force"]["revision"]), int(turn.get("expects", 0)))
