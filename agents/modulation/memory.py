"""The state of one identity; bounded, and JSON values when stored."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from endocrine.agents.modulation.combine import Style
from endocrine.agents.modulation.rules import MemoryRules
from endocrine.agents.modulation.stored import Listed, ModulationState, StoredTurn

RISK = "alignment_risk"
"""The signal that may only tighten; it has a memory of its own (`risk.py`)."""


FOREVER = 2**53 - 1
"""Later than any event time, microseconds."""


def micros(ts: float) -> int:
    """Return event time in whole microseconds, so that 0.8 s after a ts is 800 ms after it, whatever floats make of
    it."""
    return round(ts * 1e6)


class Cap(NamedTuple):
    """The day's message counter."""

    per_day: int = 0
    """Messages per day; 0: unlimited."""
    counted: int = 0
    reset_at: float = 0.0
    """Event time of the last reset, seconds."""


class Spent(NamedTuple):
    """Tokens that closed turns used in one window."""

    start_us: int = 0
    """Start of the window, microseconds."""
    tokens: int = 0


class Run(NamedTuple):
    """A run of stress: its latest moment, and what was before it, so that a moment can be taken back."""

    ts: float
    level: float
    """The highest of the moment."""
    length_before: int
    armed_before: bool
    length: int
    armed: bool


class Accepted(NamedTuple):
    """An accepted signal."""

    name: str
    level: float
    """As used: clamped and capped."""
    ttl_ms: int
    """0: it counts for the turn `audit_id` alone."""
    source: str
    audit_id: str | None
    ts: float
    fate: str
    """used, capped or clamped: what it is listed as where it counts."""
    shown: bool = False
    """It was listed once as another turn's."""
    until: int = -1
    """alignment_risk only: its end, microseconds of event time."""
    serial: int = 0
    """alignment_risk only: number of its arrival."""

    def active_at(self, turn_ts: float) -> bool:
        """Return whether a turn at `turn_ts` lies within its time to live: `turn.ts <= ts + ttl_ms / 1000`."""
        end = self.until if self.until >= 0 else micros(self.ts) + self.ttl_ms * 1000
        return micros(turn_ts) <= end

    def latest_first(self) -> tuple[float, float, str, int, str]:
        """Return a sort key of signals of one name: the latest, then the highest; the rest makes arrival not matter."""
        return (-self.ts, -self.level, self.source, -self.ttl_ms, self.fate)

    def highest_first(self) -> tuple[float, float, str, int, str]:
        """Return a sort key of readings of alignment_risk: the highest, then the latest; the rest makes arrival not
        matter."""
        return (-self.level, -self.ts, self.source, -self.ttl_ms, self.fate)

    def listed(self, fate: str | None = None) -> Listed:
        """Return it as a modulation lists it."""
        return {
            "name": self.name,
            "level": self.level,
            "source": self.source,
            "ts": self.ts,
            "fate": fate or self.fate,
        }


@dataclass
class Turn:
    """An open turn."""

    content: str
    """Digest of its opening record, to tell a copy from a conflict."""
    ts: float
    """Event time; at most the append time of the opening, so that a time claimed ahead makes nothing expire."""
    admitted: bool
    refusal: str | None
    """`held`: it waits for a person until `expires`."""
    used: list[Accepted] = field(default_factory=list)
    """Signals that made its latest revision, at most one per name."""
    revision: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    """Of the latest revision."""
    answered: bool = False
    """We answer it ourselves (`respond`), so its end is sure to come."""
    tightened_by: str | None = None
    """The incident that made it strict, for the rest of its life."""
    cleared: int = 0
    """The latest alignment_risk that an operator cleared for it, by number of arrival."""
    expires: float | None = None
    """While it is held: event time at which the waiting ends."""
    approved: float | None = None
    """The alignment_risk at which a person let it go on; only a higher one holds it again."""
    approved_by: str | None = None
    """Who did."""
    counted: bool = True
    """It is one of the day's messages."""

    own_tools: bool = True
    """Our own tools are offered."""
    declared: str | None = None
    """What the application declared, as `Memory.declared` holds it."""
    client: str | None = None
    """Who declared it: whose rules hold for it."""

    def stored(self) -> StoredTurn:
        """Return the turn as JSON values; what most turns lack is left out."""
        rare = {"own_tools": True, "declared": None, "client": None}
        kept = {name: value for name, value in vars(self).items() if name not in rare or value != rare[name]}
        return cast(StoredTurn, {**kept, "used": [list(signal) for signal in self.used]})

    @classmethod
    def restored(cls, stored: StoredTurn) -> "Turn":
        """Return the turn of JSON values."""
        fields = {name: value for name, value in stored.items() if name != "used"}
        return cls(**cast(dict[str, Any], fields), used=[Accepted(*signal) for signal in stored["used"]])


@dataclass
class Memory:
    """A working copy of the state; `stored` gives the new state, the old one stays as it was."""

    active: dict[str, list[Accepted]] = field(default_factory=dict)
    """Accepted signals with a time to live, by name."""
    one_turn: list[Accepted] = field(default_factory=list)
    """Accepted signals with ttl 0 whose turn was not opened yet, oldest first."""
    to_show: list[Listed] = field(default_factory=list)
    """Suppressed signals, and those of other turns, for the next turn's explanation."""
    accepted: dict[str, float] = field(default_factory=dict)
    """Event time of the latest accepted signal of each name."""
    budgets: dict[str, list[int]] = field(default_factory=dict)
    """Per source: [start of its window in microseconds, accepted in it]; alignment_risk apart, in `risk_budgets`."""
    risk: list[Accepted] = field(default_factory=list)
    """Readings of alignment_risk with a time to live; this and the next three: see `risk.py`."""
    risk_merged: bool = False
    risk_waiting: list[Accepted] = field(default_factory=list)
    risk_over: Accepted | None = None
    risk_serial: int = 0
    """Readings so far."""
    risk_budgets: dict[str, list[int]] = field(default_factory=dict)
    """As `budgets`; a reading must not spend what other signals need."""
    clocks: dict[str, float] = field(default_factory=dict)
    """Event time that never goes back, by what it is for: turns, messages, tokens, signals, risk. Apart, so that no
    kind of record moves the time of another kind. And, as `cap`, when an operator last set the cap."""
    stress: Run | None = None
    style: Style | None = None
    """Of the latest style table."""
    cap: Cap = field(default_factory=Cap)
    spent: Spent = field(default_factory=Spent)
    turns: dict[str, Turn] = field(default_factory=dict)
    """Open turns by audit_id, oldest first."""
    closed: list[list[str]] = field(default_factory=list)
    """[audit_id, content] of recently closed turns, oldest first."""
    declared: dict[str, list[Any]] = field(default_factory=dict)
    """Functions that applications of open turns declare, by digest; equal ones of several turns once."""

    @classmethod
    def restored(cls, state: ModulationState | None) -> "Memory":
        """Return the working copy of a stored state, or of none."""
        if state is None:
            return cls()
        if "risk" not in state:
            state = _with_risk_apart(state)
        over = state["risk_over"]
        return cls(
            active={name: [Accepted(*signal) for signal in signals] for name, signals in state["active"].items()},
            one_turn=[Accepted(*signal) for signal in state["one_turn"]],
            risk=[Accepted(*signal) for signal in state["risk"]],
            risk_merged=state["risk_merged"],
            risk_waiting=[Accepted(*signal) for signal in state["risk_waiting"]],
            risk_over=None if over is None else Accepted(*over),
            risk_serial=state["risk_serial"],
            risk_budgets=dict(state["risk_budgets"]),
            clocks=dict(state["clocks"]),
            to_show=list(state["to_show"]),
            accepted=dict(state["accepted"]),
            budgets=dict(state["budgets"]),
            stress=None if state["stress"] is None else Run(*state["stress"]),
            style=None if state["style"] is None else Style(*state["style"]),
            cap=Cap(*state["cap"]),
            spent=Spent(*state.get("spent", ())),
            turns={audit_id: Turn.restored(turn) for audit_id, turn in state["turns"].items()},
            closed=list(state["closed"]),
            declared=dict(state.get("declared", {})),
        )

    def stored(self) -> ModulationState:
        """Return the state to store."""
        needed = {turn.declared for turn in self.turns.values()}
        declared = {digest: functions for digest, functions in self.declared.items() if digest in needed}
        stored = self._stored()
        return {**stored, "declared": declared} if declared else stored

    def _stored(self) -> ModulationState:
        return {
            "active": {name: [list(signal) for signal in signals] for name, signals in self.active.items() if signals},
            "one_turn": [list(signal) for signal in self.one_turn],
            "risk": [list(signal) for signal in self.risk],
            "risk_merged": self.risk_merged,
            "risk_waiting": [list(signal) for signal in self.risk_waiting],
            "risk_over": None if self.risk_over is None else list(self.risk_over),
            "risk_serial": self.risk_serial,
            "risk_budgets": self.risk_budgets,
            "clocks": self.clocks,
            "to_show": self.to_show,
            "accepted": self.accepted,
            "budgets": self.budgets,
            "stress": None if self.stress is None else list(self.stress),
            "style": None if self.style is None else list(self.style),
            "cap": list(self.cap),
            "spent": list(self.spent),
            "turns": {audit_id: turn.stored() for audit_id, turn in self.turns.items()},
            "closed": self.closed,
        }

    def show_later(self, listed: Listed, rules: MemoryRules) -> None:
        """Keep a signal for the next turn's explanation; the oldest goes where there are too many."""
        self.to_show = [*self.to_show, listed][-rules.suppressed :] if rules.suppressed else []

    def own_and_others(
        self, kept: list[Accepted], audit_id: str, rules: MemoryRules
    ) -> tuple[list[Accepted], list[Accepted]]:
        """Return the signals for this turn alone, and the rest; the next turn's explanation shows the first as another
        turn's."""
        own = [signal for signal in kept if signal.audit_id == audit_id]
        for signal in own:
            self.show_later(signal.listed("other_turn"), rules)
        return own, [signal for signal in kept if signal.audit_id != audit_id]

    def known_content(self, audit_id: str) -> str | None:
        """Return the content of a turn that is open or was closed recently; None for any other."""
        if audit_id in self.turns:
            return self.turns[audit_id].content
        return next((content for closed, content in self.closed if closed == audit_id), None)

    def make_room(self, rules: MemoryRules) -> None:
        """Close the oldest turns beyond the bounds: one bound for turns that we answer, one for all others."""
        for answered, most in ((False, rules.open_turns), (True, rules.answered_turns)):
            for audit_id in [name for name, turn in self.turns.items() if turn.answered == answered][:-most]:
                self.close(audit_id, rules)

    def close(self, audit_id: str, rules: MemoryRules) -> None:
        """Close a turn; one that is not open stays as it is."""
        turn = self.turns.pop(audit_id, None)
        if turn is not None:
            self.closed = [*self.closed, [audit_id, turn.content]][-rules.closed_turns :]


def _with_risk_apart(state: ModulationState) -> ModulationState:
    """Return a state that was stored before alignment_risk had a memory of its own, with one; none of it is lost."""
    active = {name: signals for name, signals in state["active"].items() if name != RISK}
    readings = [Accepted(*signal) for signal in state["active"].get(RISK, ())]
    one_turn = [Accepted(*signal) for signal in state["one_turn"]]
    waiting = [signal for signal in one_turn if signal.name == RISK and signal.audit_id is not None]
    return {
        **state,
        "active": active,
        "one_turn": [list(signal) for signal in one_turn if signal.name != RISK],
        "risk": [list(one._replace(audit_id=None, until=micros(one.ts) + one.ttl_ms * 1000)) for one in readings],
        "risk_merged": False,
        "risk_waiting": [list(one._replace(until=FOREVER)) for one in waiting],
        "risk_over": None,
        "risk_serial": 0,
        "risk_budgets": {},
        "clocks": {},
    }
