"""Random histories of inputs on all source topics: good, malformed, misplaced and repeated ones."""

import random
from collections.abc import Callable, Sequence
from typing import Any

Line = dict[str, Any]
PEOPLE = ["ann", "bob", "cy", "dee", "éva"]
FUNCTIONS = [
    "retrieve_knowledge",
    "open_url",
    "schedule_task",
    "web_search",
    "exec_code",
    "rm_rf",
    "retrieve_knowledgе",
]
SIGNALS = ["alignment_risk", "stress", "ambiguity", "urgency", "novelty", "trust"]

LINKABLE = [
    {"primitive": "motor.digraph_simhash", "value": "00ff00ff00ff00ff"},
    {"primitive": "motor.digraph_simhash", "value": "no simhash"},
    {"primitive": "toolchain.c2.c2_callback_endpoint", "value": "203.0.113.9:443"},
    {"primitive": "toolchain.ssh.hassh_client", "value": "h1"},
]
"""What links the people of a history. One keystroke value: pairs of several values meet under tokens of several
partitions, and what comes first is then the broker's to say."""


class History:
    """Makes inputs one after the other; `ts` moves on with each."""

    people: Sequence[str] = PEOPLE
    open_turns = 6
    """The number of last turns that are talked about."""

    def __init__(self, rng: random.Random, well_placed: tuple[str, ...] = ()) -> None:
        self.rng = rng
        self.well_placed = well_placed
        self.count = 0
        self.ts = 1_760_000_000.0
        self.turns: list[tuple[str, str]] = []
        self.made: list[Line] = []

    def _line(self, topic: str, value: dict[str, Any]) -> Line:
        return {"topic": topic, "value": {**value, "id": f"in-{self.count}", "ts": round(self.ts, 3)}}

    def _who(self) -> str:
        return self.rng.choice(self.people)

    def _turn(self) -> tuple[str, str]:
        if self.turns and self.rng.random() < 0.9:
            return self.rng.choice(self.turns[-self.open_turns :])
        return "never-opened", self._who()

    def opened(self) -> Line:
        name, who = f"turn-{len(self.turns)}", self._who()
        if not (self.turns and self.rng.random() < 0.1):
            self.turns.append((name, who))
        name, who = self.turns[-1]
        signals = [
            {"name": self.rng.choice(SIGNALS), "level": round(self.rng.random() * 1.1, 2)}
            for _ in range(self.rng.randint(0, 2))
        ]
        return self._line(
            "interactions",
            {
                "kind": "opened",
                "audit_id": name,
                "identity": who,
                "session_id": "s",
                "turn": len(self.turns),
                "client": "test",
                "prompt": "What now?",
                "signals": signals,
            },
        )

    def closed(self) -> Line:
        name, who = self._turn()
        return self._line("interactions", {"kind": "closed", "audit_id": name, "identity": who, "response": "This."})

    def signal(self) -> Line:
        name, who = self._turn()
        value = {
            "identity": who,
            "name": self.rng.choice(SIGNALS),
            "level": round(self.rng.uniform(-0.1, 1.1), 2),
            "ttl_ms": self.rng.choice([0, 800, 60_000]),
            "source": self.rng.choice(["runtime", "probe"]),
        }
        return self._line("signals", {**value, "audit_id": name} if self.rng.random() < 0.5 else value)

    def call(self) -> Line:
        name, who = self._turn()
        arguments: Any = self.rng.choice(
            [
                {"query": "x"},
                {"url": "https://example.org"},
                {"when": "noon", "note": "n"},
                '{"query": "x", "k": 3}',
                "{",
                {"query": 3},
                {},
            ]
        )
        return self._line(
            "tool-calls",
            {
                "call_id": f"call-{self.count}",
                "audit_id": name,
                "identity": who,
                "tool": self.rng.choice(FUNCTIONS),
                "arguments": arguments,
                "step": self.rng.randint(1, 8),
            },
        )

    def result(self) -> Line:
        name, who = self._turn()
        return self._line(
            "tool-results",
            {
                "call_id": f"call-{self.count}",
                "audit_id": name,
                "identity": who,
                "tool": "retrieval",
                "status": "ok",
                "duration_ms": 12.5,
                "args_summary": "query=x",
            },
        )

    def card(self) -> Line:
        name, who = self._turn()
        return self._line(
            "feedback",
            {
                "identity": who,
                "target_action_id": name,
                "rating": self.rng.randint(1, 5),
                "symbols": self.rng.sample(["affirm", "reject", "ground"], self.rng.randint(0, 2)),
            },
        )

    def observation(self) -> Line:
        line = self._line(
            "observations",
            {
                "primitive": self.rng.choice(["motor.input_modality", "cognitive.feedback_loop", "test.numeric"]),
                "value": self.rng.choice(["typed", "pasted", "mixed", 3, 2.5, True, ["a", "b"]]),
                "confidence": round(self.rng.random(), 3),
                "source": "test",
                "identity_ref": self._who(),
                "v": 1,
            },
        )
        line["value"]["window"] = {"start_ts": self.ts - 1, "end_ts": self.ts}
        # Drawn apart, so that the rest of a history is what it was before there was linkage.
        apart = random.Random(self.count)
        if apart.random() < 0.5:
            line["value"] |= apart.choice(LINKABLE)
        return line

    def detection(self) -> Line:
        return self._line(
            "detections",
            {
                "identity": self._who(),
                "phase": self.rng.choice(["dormant", "bonding", "bonded"]),
                "risk_level": self.rng.choice(["low", "high"]),
                "childhood_archetype": "explorer",
                "egg_status": "none",
                "confidence": 0.5,
                "signals": [],
                "turn_count": self.count,
                "ulm": {"n1": round(self.rng.random(), 2), "n2": round(self.rng.random(), 2)},
            },
        )

    def command(self) -> Line:
        kind = self.rng.choice(
            [
                {"kind": "set_cap", "cap": self.rng.randint(0, 3)},
                {"kind": "add_note", "text": "hello"},
                {"kind": "release_lock"},
            ]
        )
        whom = self._who()
        # Drawn apart, so that the rest of a history is what it was before there were such commands.
        apart = random.Random(self.count)
        if apart.random() < 0.5:
            kind = apart.choice([_state_set, _state_invalidate, _adoption, _link])(apart, self.ts)
            whom = "project:p1" if kind["kind"].startswith("state_") and apart.random() < 0.5 else whom
        return self._line("commands", {**kind, "identity": whom, "by": "op"})

    def naming(self) -> Line:
        """A command to the registry of names: few names, so that they collide."""
        name = self.rng.choice(["p05", "P05", "p05-billing", "billing", "x"])
        common = {"identity": "$registry", "scope": "project", "name": name, "effective_from": self.ts, "by": "op"}
        if self.rng.random() < 0.3:
            return self._line("commands", {**common, "kind": "release_name"})
        registered_id = self.rng.choice([name, "p05-billing"])
        return self._line("commands", {**common, "kind": "register_name", "registered_id": registered_id})

    def malformed(self) -> Line:
        line = self.good()
        value = line["value"]
        self.rng.choice(
            [
                lambda: value.update(surplus=1),
                lambda: value.pop("ts"),
                lambda: value.update(ts="now"),
                lambda: value.update(ts=-5),
                lambda: value.update(id=7),
                lambda: line.update(value=[1]),
                lambda: line.update(value="text"),
            ]
        )()
        return line

    def misplaced(self) -> Line:
        line = self.good()
        if line["topic"] in self.well_placed:
            return line
        line["key"] = self.rng.choice([None, "wrong", "ann"])
        return line

    def good(self) -> Line:
        makers: list[Callable[[], Line]] = [
            self.opened,
            self.opened,
            self.opened,
            self.closed,
            self.signal,
            self.signal,
            self.call,
            self.call,
            self.call,
            self.result,
            self.card,
            self.card,
            self.observation,
            self.observation,
            self.observation,
            self.detection,
            self.command,
        ]
        return self.rng.choice(makers)()

    def next(self) -> Line:
        self.count += 1
        self.ts += self.rng.choice([0.0, 0.1, 0.5, 2.0, 30.0])
        dice = self.rng.random()
        if self.made and dice < 0.06:
            return self.rng.choice(self.made[-20:])  # the same record once more: a producer that retries
        line = self.malformed() if dice < 0.12 else self.misplaced() if dice < 0.17 else self.good()
        self.made.append(line)
        return line


def random_history(rng: random.Random, length: int, *, well_placed: tuple[str, ...] = ()) -> list[Line]:
    """`length` lines as `simulate` reads them; the same generator gives the same lines.

    well_placed: topics whose records always lie under the right key (a misrouted record is forwarded, which changes its
    order).
    """
    history = History(rng, well_placed)
    return [history.next() for _ in range(length)]


def _slot(rng: random.Random) -> Line:
    return {"category": rng.choice(["status", "decision", "mood"]), "key": rng.choice(["k1", "k2"])}


def _state_set(rng: random.Random, ts: float) -> Line:
    return {"kind": "state_set", **_slot(rng), "value": rng.choice(["a", "b"])}


def _state_invalidate(rng: random.Random, ts: float) -> Line:
    return {"kind": "state_invalidate", **_slot(rng)}


def _adoption(rng: random.Random, ts: float) -> Line:
    parts = rng.randint(1, 2)
    event = {"timestamp": 1.0, "event_type": "risk_change", "detail": "d", "data": {"old": "low", "new": "high"}}
    return {
        "kind": "adopt_bond",
        "entry": {"phase": "bonded", "daily_msg_cap": rng.randint(0, 3), "daily_msg_reset_at": ts},
        "events": [event] * rng.randint(0, 3),
        "part": rng.randint(1, parts),
        "parts": parts,
        "replace": rng.random() < 0.5,
    }


def _link(rng: random.Random, ts: float) -> Line:
    return {"kind": rng.choice(["link_apply", "link_apply", "link_reverse", "link_dismiss"]), "b": rng.choice(PEOPLE)}


def with_names(rng: random.Random, lines: Sequence[Line]) -> list[Line]:
    """The lines, with commands to the registry of names between them, one for about every ten."""
    names, found = History(rng), list[Line]()
    for line in lines:
        found.append(line)
        if rng.random() < 0.1:
            names.count += 1
            names.ts += 1.0
            naming = names.naming()
            naming["value"]["id"] = f"name-{names.count if rng.random() < 0.9 else names.count - 1}"
            found.append(naming)
    return found
