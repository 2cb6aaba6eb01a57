"""State of the capture agent for one identity: a JSON object of bounded size, without any text of a turn."""

from typing import NamedTuple, TypedDict

from endocrine.agents._shared.memories import digest_of
from endocrine.agents.capture.rules import CapturedTurnRules
from endocrine.schemas.interactions import Opened

Row = list[str | int | float | bool | None]
"""A JSON array with the fields of `OpenTurn`."""


class OpenTurn(NamedTuple):
    """A turn that has not ended."""

    project: str | None
    client: str | None
    session_id: str | None
    turn: int | None
    ts: float | None
    """Event time of its opening, seconds."""
    admitted: bool
    """By the latest revision of its modulation; True before there is one."""


UNSEEN = OpenTurn(None, None, None, None, None, True)
"""A turn whose opening was not seen."""


class CaptureState(TypedDict):
    """The state of one identity."""

    open: dict[str, Row]
    """By audit_id, oldest first."""
    ended: list[str]
    """Digests of the audit_ids of turns that ended, oldest first."""
    dropped: int
    """Turns that were out before they ended."""


EMPTY: CaptureState = {"open": {}, "ended": [], "dropped": 0}


def open_turn(state: CaptureState, audit_id: str) -> OpenTurn | None:
    """Return a turn that has not ended; None where there is none of that id."""
    row = state["open"].get(audit_id)
    return None if row is None else OpenTurn(*row)  # type: ignore[arg-type]


def has_ended(state: CaptureState, audit_id: str) -> bool:
    """Return whether a turn is among those that ended."""
    return _mark(audit_id) in state["ended"]


def after_opening(state: CaptureState, opened: Opened, rules: CapturedTurnRules) -> CaptureState:
    """Return the state with one more open turn; of more than the bound the oldest is out, and counted."""
    turn = OpenTurn(opened.project, opened.client, opened.session_id, opened.turn, opened.ts, admitted=True)
    rows = {**state["open"], opened.audit_id: list(turn)}
    surplus = len(rows) - rules.open_turns
    if surplus > 0:
        rows = dict(list(rows.items())[surplus:])
    return {**state, "open": rows, "dropped": state["dropped"] + max(0, surplus)}


def after_revision(state: CaptureState, audit_id: str, turn: OpenTurn) -> CaptureState:
    """Return the state with another form of an open turn."""
    return {**state, "open": {**state["open"], audit_id: list(turn)}}


def after_end(state: CaptureState, audit_id: str, rules: CapturedTurnRules) -> CaptureState:
    """Return the state without the open turn, and with it among those that ended."""
    rows = {name: row for name, row in state["open"].items() if name != audit_id}
    return {**state, "open": rows, "ended": [*state["ended"], _mark(audit_id)][-rules.ended_remembered :]}


def without_overdue(state: CaptureState, ts: float, rules: CapturedTurnRules) -> CaptureState:
    """Return the state without turns that opened too long before an event time, in seconds; they are counted.

    The same object where there are none.
    """
    rows = {name: row for name, row in state["open"].items() if ts - _opened_at(row) <= rules.open_s}
    overdue = len(state["open"]) - len(rows)
    return {**state, "open": rows, "dropped": state["dropped"] + overdue} if overdue else state


def _opened_at(row: Row) -> float:
    ts = OpenTurn(*row).ts  # type: ignore[arg-type]
    return 0.0 if ts is None else ts


def _mark(audit_id: str) -> str:
    return digest_of(audit_id)
