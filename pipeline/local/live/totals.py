"""Counts of a run. Each derived record counts once, however many copies of it are read. Pure."""

from collections import Counter
from typing import Any

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.views.event import Event

REMEMBERED = 50_000
"""Ids, turns and keys that are kept, so that a run without end needs no memory without end: far above what is
open at any time. A copy or a revision of something older counts as new."""


class Recent(dict[str, Any]):
    """A dict that forgets its oldest keys."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if len(self) > REMEMBERED:
            del self[next(iter(self))]


class Totals:
    """Counts over the events applied."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        """Derived records per topic."""
        self.turns: Counter[str] = Counter()
        """Turns by the mode of their last revision."""
        self.refused: Counter[str] = Counter()
        """Turns that were not admitted, by reason."""
        self.revisions = 0
        """Modulations after the first of a turn."""
        self.decisions: Counter[str] = Counter()
        """`allowed`, or `denied reason`, `pending reason`."""
        self.incidents: Counter[str] = Counter()
        self.styles: dict[str, dict[str, Any]] = Recent()
        """Last style table per identity."""
        self.states: Counter[str] = Counter()
        """Attribution states now, per state."""
        self.transitions = 0
        self.suspicions = 0
        self.bonds: Counter[str] = Counter()
        """Bonds now, by phase."""
        self.bond_events: Counter[str] = Counter()
        self.memories: Counter[str] = Counter()
        """Memories now, by status."""
        self.conflicts: Counter[str] = Counter()
        """Conflicts now, by status."""
        self.dead: Counter[str] = Counter()
        """Dead letters by topic and reason."""
        self._seen = Recent()
        self._last = Recent()

    def apply(self, event: Event) -> bool:
        """Count an event; False for a copy of one that was counted."""
        if event.id in self._seen:
            return False
        self._seen[event.id] = None
        self.records[event.topic] += 1
        if holds_dead_letters(event.topic):
            self.dead[f"{event.topic.removesuffix('.dlq')} {event.value['kind']}"] += 1
        elif event.value is not None:
            self._count(event.topic, event.value)
        return True

    def _count(self, topic: str, value: dict[str, Any]) -> None:
        if topic == "modulations":
            self._modulation(value)
        elif topic == "tool-decisions":
            self.decisions[" ".join(filter(None, (value["decision"], value["reason"])))] += 1
        elif topic == "incidents":
            self.incidents[value["kind"]] += 1
        elif topic == "style-tables":
            self.styles[value["identity"]] = value
        elif topic == "attribution-states":
            self._now(self.states, f"state {value['identity']} {value['primitive']}", value["state"])
        elif topic == "attribution-changes":
            changed = value["kind"] == "state_changed"
            self.transitions += changed
            self.suspicions += not changed
        elif topic == "bonds":
            self._now(self.bonds, f"bond {value['user_id']}", value["phase"])
        elif topic == "bond-events":
            self.bond_events[value["event_type"]] += 1
        elif topic == "memories":
            self._now(self.memories, f"memory {value['subject']} {value['memory_id']}", value["status"])
        elif topic == "conflicts":
            self._now(self.conflicts, f"conflict {value['subject']} {value['slot']}", value["status"])

    def _modulation(self, value: dict[str, Any]) -> None:
        self.revisions += value["revision"] > 0
        if not value["admitted"] and value["revision"] == 0:
            self.refused[value["refusal"]] += 1
        self._now(self.turns, f"turn {value['audit_id']}", value["mode"])

    def _now(self, counts: Counter[str], key: str, value: str) -> None:
        """Count a thing under what it is now, and no longer under what it was."""
        before = self._last.get(key)
        if before is not None:
            counts[before] -= 1
        counts[value] += 1
        self._last[key] = value
