"""Random histories of what memory reads: turns, an operator's commands, tools' facts, over few slots and contents."""

import random
from typing import Any

from endocrine.agents._shared.memories import memory_id, named_after
from histories import History, Line

SUBJECTS = ["ann", "max", "project:p05"]
"""On both of two partitions: a turn of max is captured on one, and for its project on the other."""
VALUES = ["PEEK", "peek", "steel", "oak wood"]
SENTENCES = [
    "I prefer rebase-based workflows because history stays linear.",
    "## Decision: pad_material: GF-PTFE",
    "## Fact: the pad is two millimetres thick",
    "The requirement is that it runs offline.",
    "Nothing of the kind.",
]
ANSWERS = "The pad is two millimetres thick, history stays linear, and it runs offline: rebase-based workflows."


class MemoryHistory(History):
    """Turns of two people in one project, and what is written, promoted and disputed beside them."""

    people = ("ann", "max")

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.memories: list[tuple[str, str]] = []
        """(subject, memory_id) of what may be there."""
        self.slotted: list[tuple[tuple[str, str], str]] = []
        """((subject, slot), memory_id) of what may be a member of a conflict."""
        self.conflicts: list[tuple[str, str, str]] = []
        """(subject, slot, conflict_id) of what may have been opened."""

    def _command(self, subject: str, kind: str, **value: Any) -> Line:
        return self._line("commands", {"kind": kind, "identity": subject, "by": "op", **value})

    def _known(self, subject: str, made: str) -> None:
        self.memories.append((subject, made))

    def _dispute(self, subject: str, slot: str, trigger_id: str) -> None:
        self.conflicts.append((subject, slot, named_after("c", subject, slot, trigger_id)))

    def opened(self) -> Line:
        line = super().opened()
        if self.rng.random() < 0.6:
            line["value"]["project"] = "p05"
        return line

    def closed(self) -> Line:
        line = super().closed()
        line["value"]["response"] = self.rng.choice([ANSWERS, "\n".join(self.rng.sample(SENTENCES, 3)), ""])
        line["value"] |= self.rng.choice([{}, {}, {"reinforce": False}, {"memory_write": 0.0}, {"memory_write": 0.4}])
        return line

    def create(self) -> Line:
        subject, slot = self.rng.choice(SUBJECTS), self.rng.choice(["pad_material", "finish", None])
        content = self.rng.choice(SENTENCES) if slot is None else f"{slot}: {self.rng.choice(VALUES)}"
        self._known(subject, memory_id(subject, f"in-{self.count}"))
        if slot is not None:
            self.slotted.append(((subject, slot), memory_id(subject, f"in-{self.count}")))
            self._dispute(subject, slot, f"memory/in-{self.count}/0")
        given = {"type": "knowledge", "content": content, "status": self.rng.choice(["active", "candidate"])}
        return self._command(subject, "memory_create", **given, **({} if slot is None else {"slot": slot}))

    def change(self) -> Line:
        subject, made = self.rng.choice(self.memories) if self.memories else ("ann", "m-" + 24 * "0")
        kind = self.rng.choice(["promote", "promote", "reject", "invalidate", "supersede", "update"])
        more = {"content": f"pad_material: {self.rng.choice(VALUES)}"} if kind == "update" else {}
        return self._command(subject, f"memory_{kind}", memory_id=made, **more)

    def opinion(self) -> Line:
        subject, made = self.rng.choice(self.memories) if self.memories else ("ann", "m-" + 24 * "0")
        held = {"opinion": self.rng.choice(["for", "against"]), "confidence": self.rng.choice([0.25, 0.5, 1.0])}
        by = self.rng.choice(["ann", "max", "checker"])
        return self._line("opinions", {"subject": subject, "memory_id": made, "by": by, **held})

    def imported(self) -> Line:
        subject, origin = self.rng.choice(SUBJECTS), str(self.rng.randrange(3))
        made = memory_id(subject, origin)
        self._known(subject, made)
        entry = {"type": "knowledge", "status": self.rng.choice(["candidate", "active", "invalid"]), "confidence": 0.5}
        entry |= {"version": self.rng.randrange(1, 6), "store": "older", "origin": origin, "created_ts": 1.0}
        return self._command(subject, "memory_import", memory_id=made, content=self.rng.choice(SENTENCES), **entry)

    def extract(self) -> Line:
        subject = self.rng.choice(SUBJECTS)
        self._known(subject, memory_id(subject, f"reflection/in-{self.count}/0"))
        text = "\n".join(self.rng.sample(SENTENCES, 3))
        return self._command(subject, "memory_extract", audit_id=self._turn()[0], text=text, project="p05")

    def reinforce(self) -> Line:
        return self._command(
            self.rng.choice(SUBJECTS), "memory_reinforce", audit_id=f"old-{self.count % 3}", text=ANSWERS
        )

    def resolve(self) -> Line:
        subject, slot, named = self.rng.choice(self.conflicts) if self.conflicts else ("ann", "finish", "c-" + 24 * "0")
        action = self.rng.choice(["supersede_others", "supersede_others", "no_action", "dismiss"])
        of_subject = [made for other, made in self.slotted if other == (subject, slot)]
        winner = {"winner": self.rng.choice(of_subject)} if of_subject and action == "supersede_others" else {}
        return self._command(subject, "conflict_resolve", slot=slot, conflict_id=named, action=action, **winner)

    def fact(self) -> Line:
        subject, slot = self.rng.choice(SUBJECTS), self.rng.choice(["pad_material", "finish"])
        self._known(subject, memory_id(subject, f"conflicts/in-{self.count}/0"))
        self._dispute(subject, slot, f"in-{self.count}")
        reported = {"exporter_version": "1", "exported_at": self.ts, "source_artifact": "pad.step"}
        value = {"exporter": self.rng.choice(["cad", "plm"]), "slot": slot, "value": self.rng.choice(VALUES)}
        return self._line("facts", {"subject": subject, **value, **reported})

    def state(self) -> Line:
        subject, key = self.rng.choice(SUBJECTS), self.rng.choice(["pad_material", "finish"])
        named = {"category": self.rng.choice(["requirement", "decision"]), "key": key}
        self._dispute(subject, key, f"trust/in-{self.count}/0")
        self.slotted.append(((subject, key), f"state:{named['category']}/{key}"))
        if self.rng.random() < 0.4:
            return self._command(subject, "state_invalidate", **named)
        return self._command(subject, "state_set", **named, value=self.rng.choice(VALUES))

    def good(self) -> Line:
        makers = [
            *3 * [self.opened],
            *3 * [self.closed],
            *4 * [self.create],
            *4 * [self.change],
            *2 * [self.opinion],
            self.imported,
            *2 * [self.extract],
            self.reinforce,
            *3 * [self.resolve],
            *2 * [self.fact],
            *2 * [self.state],
        ]
        return self.rng.choice(makers)()


def memory_history(rng: random.Random, length: int) -> list[Line]:
    """`length` lines as `simulate` reads them; the same generator gives the same lines."""
    history = MemoryHistory(rng)
    return [history.next() for _ in range(length)]
