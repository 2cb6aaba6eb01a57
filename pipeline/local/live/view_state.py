"""What the view shows: the latest of everything, bounded. Pure."""

from collections import deque
from collections.abc import Callable
from typing import Any

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.views.event import Event

ROWS = 60
"""Rows kept of each kind: more than a terminal has."""


class ViewState:
    """The latest of everything, newest first in each list.

    round_of: the round of the scenario that a turn belongs to, None for one of somebody else. A new round takes the
    place of the turns of the rounds before.
    """

    def __init__(self, round_of: Callable[[str], int | None] = lambda audit_id: None) -> None:
        self._round_of = round_of
        self._round = 0
        self.version = 0
        """Another number whenever there is something else to show."""
        self.turns: dict[str, dict[str, Any]] = {}
        """Last modulation per turn; the newest at the end."""
        self.tools: deque[dict[str, Any]] = deque(maxlen=ROWS)
        """Tool decisions, and incidents that are not a blocked tool."""
        self.changes: deque[dict[str, Any]] = deque(maxlen=ROWS)
        self.styles: dict[str, dict[str, Any]] = {}
        self.bonds: dict[str, dict[str, Any]] = {}
        self.bond_event: dict[str, Any] | None = None
        self.dead: dict[str, Any] | None = None
        """The last dead letter."""

    def apply(self, event: Event) -> None:
        """Take in an event. A copy does no harm."""
        self.version += 1
        topic, value = event.topic, event.value
        if value is None:
            self.styles.pop(event.key, None) if topic == "style-tables" else self.bonds.pop(event.key, None)
        elif topic == "modulations":
            if self.turns.get(value["audit_id"], value)["revision"] <= value["revision"] and self._current(value):
                _latest(self.turns, value["audit_id"], value)
        elif topic == "tool-decisions" or (topic == "incidents" and value["kind"] != "tool_blocked"):
            self.tools.appendleft(value)
        elif topic == "attribution-changes":
            self.changes.appendleft(value)
        elif topic == "style-tables":
            _latest(self.styles, value["identity"], value)
        elif topic == "bonds":
            _latest(self.bonds, value["user_id"], value)
        elif topic == "bond-events":
            self.bond_event = value
        elif holds_dead_letters(topic):
            self.dead = value | {"topic": topic}

    def _current(self, turn: dict[str, Any]) -> bool:
        """Whether it is of the newest round, or of none. The first of a new round ends the earlier ones."""
        number = self._round_of(turn["audit_id"])
        if number is None:
            return True
        if number > self._round:
            self._round = number
            for other in [name for name in self.turns if (self._round_of(name) or 0) < number]:
                if self._round_of(other) is not None:
                    del self.turns[other]
        return number >= self._round


def _latest(rows: dict[str, dict[str, Any]], key: str, value: dict[str, Any]) -> None:
    rows.pop(key, None)
    rows[key] = value
    if len(rows) > ROWS:
        del rows[next(iter(rows))]
