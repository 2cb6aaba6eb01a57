"""State of the gate for one identity: a JSON object of bounded size. All functions return new values."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, TypeVar

from endocrine.schemas.modulations import Modulation
from endocrine.schemas.vocabulary import Mode, Reason, Refusal

Json = dict[str, Any]
"""A record, or a part of one."""
Moment = list[float | None]
"""`[clock, appended]`; see `endocrine.agents.gating.moments`."""
Row = list[Any]
V = TypeVar("V")


class EffectiveModulation(TypedDict):
    """What of a modulation the gate holds a turn to."""

    revision: int
    mode: Mode
    allowlist: list[str]
    refusal: Refusal | None
    application: NotRequired[Mapping[str, str]]
    """The application's functions that it allows, each with the digest of its schema."""


class PendingCall(TypedDict):
    """A call that is not decided yet. Its arguments, which are content, are judged on arrival and never stored."""

    call_id: str
    function: str
    valid: bool
    """Whether the arguments fit the tool's schema."""
    step: int
    ts: float
    digest: NotRequired[str | None]
    """Of the arguments, null where they cannot be read; absent in states of earlier versions."""
    declared: NotRequired[bool]
    """Whether the arguments fit the function of that name that the turn declares."""
    barred: NotRequired[Reason]
    """A reason that the call alone gives."""
    person: NotRequired[bool]
    """The arguments are such that the tool needs a person."""
    begins: NotRequired[list[str]]
    """Names of sequence rules that the call begins."""
    ends: NotRequired[list[str]]
    """Names of sequence rules that would stop it."""
    agreed: NotRequired[float]
    """When a person agreed, seconds of event time."""
    audit_id: NotRequired[str]
    """Of a call that waits for a person."""
    expires: NotRequired[float]
    """When that waiting ends, seconds of event time."""


class Turn(TypedDict):
    """An open turn. State keys of the effective modulation: `force`."""

    prompt_hmac: str | None
    force: EffectiveModulation | None
    """Null until the first modulation."""
    cut: list[str] | None
    """The list that the turn was cut to when a call was blocked."""
    waiting: list[PendingCall]
    """To be decided when the first modulation arrives, or the turn is no longer held."""
    answered: NotRequired[bool]
    """Answered by Endocrine itself (`respond`)."""
    expects: NotRequired[int]
    """The revision that the cut leads to."""
    crowded: NotRequired[bool]
    """It takes no further calls (`calls.py`)."""
    met: NotRequired[dict[str, int]]
    """Model step by sequence rule whose first call was allowed, or whose result matched (`sequences.py`)."""
    awaited: NotRequired[dict[str, dict[str, int]]]
    """The same by id of a first call whose result decides."""
    declared: NotRequired[str]
    """Digest of the functions that the application declares."""
    client: NotRequired[str]
    """Whose rules hold for them."""


class GatingState(TypedDict):
    """The state of one identity."""

    clock: float | None
    """The identity's clock (`agents._shared.clock`), moved by every record since there was a state."""
    turns: dict[str, Turn]
    """Open turns by audit_id, oldest first."""
    early: dict[str, EffectiveModulation]
    """Modulations whose turn was not read opened yet, oldest first."""
    closed: list[str]
    """Recently closed turns, oldest first."""
    calls: dict[str, Row | str]
    """`calls.KnownCall` by digest of the call, oldest first; in states of earlier versions its content alone."""
    pending: list[PendingCall]
    """Calls that wait for a person, oldest first."""
    rates: dict[str, Row]
    """`limits.Rate` by tool."""
    circuits: dict[str, Row]
    """`limits.Circuit` by tool."""
    met: dict[str, Moment | float]
    """When a rule that reaches over turns was last met, by its name."""
    blind: NotRequired[float]
    """When a call of a turn that is not open was last denied without being kept, seconds."""
    declared: NotRequired[dict[str, Json]]
    """Schemas by function name, by digest of what open turns declare."""


EMPTY: GatingState = {
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


def clock_of(state: GatingState) -> float:
    """Return the identity's clock, seconds; a record has moved it before anything is decided."""
    clock = state["clock"]
    assert clock is not None
    return clock


def latest(entries: Mapping[str, V], most: int) -> dict[str, V]:
    """Return the newest `most` entries, in their order."""
    return dict(list(entries.items())[-most:])


def without(entries: Mapping[str, V], key: str) -> dict[str, V]:
    """Return all entries but one."""
    return {k: v for k, v in entries.items() if k != key}


def effective_modulation(modulation: Modulation, application: Mapping[str, str]) -> EffectiveModulation:
    """Return what of a modulation the gate holds a turn to. application: as `application.in_force` gives it."""
    effective: EffectiveModulation = {
        "revision": modulation.revision,
        "mode": modulation.mode,
        "allowlist": list(modulation.parameters.tool_allowlist),
        "refusal": modulation.refusal,
    }
    if application:
        effective["application"] = application
    return effective


def is_newer(effective: EffectiveModulation, known: EffectiveModulation | None) -> bool:
    """Return whether a modulation replaces the one known: revisions only rise."""
    return known is None or effective["revision"] > known["revision"]


def allowlist_of(turn: Turn) -> list[str]:
    """Return the canonical names in force: the modulation's, without what the gate cut. A cut is never undone.

    Empty before the first modulation.
    """
    cut, effective = turn["cut"], turn["force"]
    return [] if effective is None else [tool for tool in effective["allowlist"] if cut is None or tool in cut]


def waits(turn: Turn) -> bool:
    """Return whether calls of an open turn wait: for its first modulation, or until it is no longer held."""
    return turn["force"] is None or turn["force"]["refusal"] == "held"


def revision_of(turn: Turn | None) -> int | None:
    """Return the revision in force, or on its way after a cut; None where no modulation of the turn is known."""
    if turn is None or turn["force"] is None:
        return None
    return max(turn["force"]["revision"], turn.get("expects", 0))
