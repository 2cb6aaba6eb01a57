"""Deadlines that agents wait for, and which of them have expired. Pure: time is passed in.

A subject is something that an agent waits for; it is added by one record and settled by another:

| subject  | added by                                     | waits until                    | settled by              |
|----------|----------------------------------------------|--------------------------------|-------------------------|
| turn     | interactions, opened to be answered by us    | ts + modulation_s              | modulations             |
| hold     | modulations, held                            | expires                        | a modulation, not held  |
| revision | incidents of such a turn                     | ts + modulation_s              | (the turn's end alone)  |
| call     | tool-calls                                   | ts + decision_s                | tool-decisions          |
| approval | tool-decisions, pending                      | expires                        | a decision, not pending |
| result   | tool-decisions, allowed                      | ts + result_s                  | tool-results            |
| result   | tool-decisions on what is no tool of ours    | ts + continuation_s            | tool-results            |
| reply    | model-requests                               | ts + deadline_ms + reply grace | model-replies           |

Which modulation answers an incident cannot be seen from outside, so none settles it. A decision `conflicting_call`
settles nothing: it is about a second record under a call's id.
A turn that closes settles all of its subjects. Topics have no common order, so what was settled before it was seen is
kept for a while. A deadline of event time passes on the wall clock as long after the record's append as it lies
after the record's ts. Where nothing settles a subject its tick is sent again, later and later, a few times: an agent
may count from a record that we do not know. A tick too many changes nothing.
"""

import hashlib
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

BY = "timekeeper"
AGAIN_S = (0.0, 2.0, 10.0, 60.0)
"""Seconds after its deadline at which a subject's ticks are sent."""
MAX_SUBJECTS = 50_000
"""Subjects of one partition. When it holds so many it is `full`: read no further until some have passed."""
_MAX_SETTLED = 20_000
_MAX_NAME_CHARS = 200

Name = tuple[str, ...]
"""kind, audit_id, and what else distinguishes it."""


@dataclass(frozen=True)
class Waits:
    """How long agents wait, seconds of event time."""

    modulation_s: float
    decision_s: float
    result_s: float
    reply_grace_s: float
    longest_s: float
    """The longest wait there is, approvals included: so far back a timekeeper reads at its start."""
    continuation_s: float = 600.0
    """For results of an application's own tools."""


WaitsOf = Callable[[Mapping[str, Any], float], Waits]
"""(value of a record, its append time in seconds since 1970) -> the waits that hold for it."""


class Tick(NamedTuple):
    """A tick to send."""

    id: str
    """The same wherever and whenever it is sent."""
    identity: str
    ts: float


class _Subject(NamedTuple):
    identity: str
    ts: float
    """Event time of the deadline."""
    wall: float
    """Wall clock at which it passes, seconds since 1970."""


class Deadlines:
    """The subjects of one partition. waits_of: how long what a record adds is waited for."""

    def __init__(self, waits_of: WaitsOf, *, most: int = MAX_SUBJECTS) -> None:
        self._waits_of = waits_of
        self._most = most
        self._subjects: dict[Name, _Subject] = {}
        self._of_turn: dict[str, set[Name]] = {}
        self._queue: list[tuple[float, Name, int]] = []
        self._settled: OrderedDict[Name, None] = OrderedDict()
        self._ours: OrderedDict[str, None] = OrderedDict()
        """Open turns that we answer."""

    @property
    def full(self) -> bool:
        """Whether no more may be read now."""
        return len(self._subjects) >= self._most

    @property
    def next_wall(self) -> float | None:
        """When the next deadline expires, seconds since 1970; None: nothing waits."""
        return self._queue[0][0] if self._queue else None

    def observe(self, topic: str, value: Mapping[str, Any], appended: float) -> None:
        """Note a valid record. appended: the broker's append time, seconds since 1970."""
        waits = self._waits_of(value, appended)

        def add(name: Name, ts: float) -> None:
            self._add(name, _Subject(value["identity"], ts, appended + max(0.0, ts - value["ts"])))

        turn: Any = value.get("audit_id")
        if topic == "interactions" and value["kind"] == "closed":
            self._close(turn)
        elif topic == "interactions" and value.get("respond") is True:
            if ("closed", turn) not in self._settled:
                self._remember(self._ours, turn)
            add(("turn", turn), value["ts"] + waits.modulation_s)
        elif topic == "modulations":
            self._settle(("turn", turn))
            self._modulated(value, turn, add)
        elif topic == "incidents" and turn in self._ours:
            add(("revision", turn, value["incident_id"]), value["ts"] + waits.modulation_s)
        elif topic == "tool-calls":
            add(("call", turn, value["call_id"]), value["ts"] + waits.decision_s)
        elif topic == "tool-decisions":
            self._decided(value, turn, waits, add)
        elif topic == "tool-results":
            self._settle(("result", turn, value["call_id"]))
        elif topic == "model-requests":
            late = value["deadline_ms"] / 1000 + waits.reply_grace_s
            add(("reply", turn, value["request_id"]), value["ts"] + late)
        elif topic == "model-replies":
            self._settle(("reply", turn, value["request_id"]))

    def expired(self, wall: float) -> Iterator[Tick]:
        """Return the ticks of the deadlines expired by `wall` (seconds since 1970), the earliest first; each once."""
        while self._queue and self._queue[0][0] <= wall:
            _, name, sent = heapq.heappop(self._queue)
            subject = self._subjects.get(name)
            if subject is None or sent >= len(AGAIN_S):
                continue
            yield Tick(_tick_id(name, subject, sent), subject.identity, subject.ts + AGAIN_S[sent])
            if sent + 1 < len(AGAIN_S):
                heapq.heappush(self._queue, (subject.wall + AGAIN_S[sent + 1], name, sent + 1))
            else:
                self._settle(name)

    def _modulated(self, value: Mapping[str, Any], turn: str, add: Any) -> None:
        """A held turn waits for a person, whoever answers it; a later hold of the same turn is another subject."""
        expires = value.get("expires")
        if value.get("refusal") == "held" and expires is not None:
            add(("hold", turn, f"{expires:.6f}"), expires)
            return
        for name in [name for name in self._of_turn.get(turn, ()) if name[0] == "hold"]:
            self._settle(name)

    def _decided(self, value: Mapping[str, Any], turn: str, waits: Waits, add: Any) -> None:
        if value.get("reason") == "conflicting_call":
            return  # about another record under this id; what waits for the first one waits on
        call_id = value["call_id"]
        self._settle(("call", turn, call_id))
        if value["decision"] == "pending":
            if value.get("expires") is not None:
                add(("approval", turn, call_id), value["expires"])
            return
        self._settle(("approval", turn, call_id))
        if value.get("tool", "") is None and turn in self._ours:
            # The application's to run, if it is passed on at all: an observed turn passes on what was denied.
            add(("result", turn, call_id), value["ts"] + waits.continuation_s)
        elif value["decision"] == "allowed":
            add(("result", turn, call_id), value["ts"] + waits.result_s)

    def _add(self, name: Name, subject: _Subject) -> None:
        if name in self._subjects or name in self._settled or ("closed", name[1]) in self._settled:
            return
        self._subjects[name] = subject
        self._of_turn.setdefault(name[1], set()).add(name)
        heapq.heappush(self._queue, (subject.wall + AGAIN_S[0], name, 0))

    def _settle(self, name: Name) -> None:
        """It does not wait any more, and will not again."""
        if self._subjects.pop(name, None) is not None:
            names = self._of_turn[name[1]]
            names.discard(name)
            if not names:
                del self._of_turn[name[1]]
            if len(self._queue) > 2 * len(self._subjects) + 1000:
                self._queue = [entry for entry in self._queue if entry[1] in self._subjects]
                heapq.heapify(self._queue)
        self._remember(self._settled, name)

    def _close(self, turn: str) -> None:
        for name in list(self._of_turn.get(turn, ())):
            self._settle(name)
        self._remember(self._settled, ("closed", turn))
        self._ours.pop(turn, None)

    @staticmethod
    def _remember(ring: "OrderedDict[Any, None]", name: Any) -> None:
        ring[name] = None
        ring.move_to_end(name)
        while len(ring) > _MAX_SETTLED:
            ring.popitem(last=False)


def _tick_id(name: Name, subject: _Subject, sent: int) -> str:
    text = "/".join((*name, f"{subject.ts:.6f}"))
    if len(text) > _MAX_NAME_CHARS:
        text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{BY}/{text}/{sent}"
