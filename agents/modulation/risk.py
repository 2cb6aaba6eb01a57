"""The state of alignment_risk, which may only tighten (rules, section 1).

The highest reading in force counts, whatever its source and time. A reading leaves by its time to live or by the
operator's `clear_risk`, never for lack of room: beyond a bound, readings are joined upwards. So one more reading, of
whatever level, source, time and arrival, never makes less of those that are there:

- `risk` holds each reading with a time to live. Beyond the bound it holds one per hundredth of the level, with the
  highest level and the latest end of those it replaces, until all have ended.
- `risk_waiting` holds the readings with ttl 0 whose turn was not opened yet, one per turn. Those beyond the bound are
  joined in `risk_over`, which counts for every turn that opens until its end.
"""

from collections.abc import Iterable
from math import ceil

from endocrine.agents.modulation.memory import RISK, Accepted, Memory, Turn, micros
from endocrine.agents.modulation.rules import MemoryRules
from endocrine.agents.modulation.stored import Listed

_STEPS = 100


def hold(memory: Memory, signal: Accepted, rules: MemoryRules, now: float) -> None:
    """Keep a reading. now: the clock of the identity's turns, seconds of event time."""
    memory.risk_serial += 1
    signal = signal._replace(serial=memory.risk_serial)
    if signal.ttl_ms == 0:
        _wait(memory, signal._replace(until=micros(max(now, signal.ts)) + rules.risk_waits_ms * 1000), rules)
        return
    readings = [*memory.risk, signal._replace(audit_id=None, until=micros(signal.ts) + signal.ttl_ms * 1000)]
    memory.risk_merged = memory.risk_merged or len(readings) > rules.risk_signals
    memory.risk = _by_level(readings) if memory.risk_merged else readings


def for_opening(memory: Memory, audit_id: str, ts: float, rules: MemoryRules) -> tuple[Accepted | None, list[Listed]]:
    """Return the reading that counts for a turn that opens, and those that do not, with their fates.

    ts: event time of the turn. Readings that have ended are forgotten.
    """
    moment = micros(ts)
    listed = [reading.listed("expired") for reading in memory.risk if reading.until < moment]
    memory.risk = [reading for reading in memory.risk if reading.until >= moment]
    memory.risk_merged = memory.risk_merged and bool(memory.risk)
    if memory.risk_over is not None and memory.risk_over.until < moment:
        memory.risk_over = None
    own = _take_own(memory, audit_id, rules)
    listed += [reading.listed("other_turn") for reading in memory.risk_waiting if not reading.shown]
    memory.risk_waiting = [reading._replace(shown=True) for reading in memory.risk_waiting if reading.until >= moment]
    over = () if memory.risk_over is None else (memory.risk_over,)
    return highest([*own, *memory.risk, *over]), listed


def for_revision(memory: Memory, audit_id: str, turn: Turn, rules: MemoryRules) -> Accepted | None:
    """Return the reading that counts for an open turn now: never less than the one that counted before."""
    before = [signal for signal in turn.used if signal.name == RISK]
    since = [reading for reading in memory.risk if reading.serial > turn.cleared and reading.active_at(turn.ts)]
    return highest([*before, *_take_own(memory, audit_id, rules), *since])


def clear(memory: Memory, audit_id: str | None, rules: MemoryRules) -> dict[str, Accepted]:
    """End the readings in force, of one open turn or of the identity; those that counted, by the turn they counted for.

    What an operator cleared for the identity is shown in the next turn's explanation.
    """
    turns = memory.turns if audit_id is None else {audit_id: memory.turns[audit_id]}
    counted: dict[str, Accepted] = {}
    for name, turn in turns.items():
        reading = highest(signal for signal in turn.used if signal.name == RISK)
        if reading is not None:
            counted[name] = reading
        turn.used = [signal for signal in turn.used if signal.name != RISK]
        turn.cleared, turn.approved = memory.risk_serial, None
    if audit_id is None:
        over = () if memory.risk_over is None else (memory.risk_over,)
        for reading in (*memory.risk, *memory.risk_waiting, *over):
            memory.show_later(reading.listed("cleared"), rules)
        memory.risk, memory.risk_merged, memory.risk_waiting, memory.risk_over = [], False, [], None
    return counted


def highest(readings: Iterable[Accepted]) -> Accepted | None:
    """Return the reading of the highest level; of equal ones the latest; the rest makes arrival not matter."""
    return min(readings, key=Accepted.highest_first, default=None)


def _wait(memory: Memory, signal: Accepted, rules: MemoryRules) -> None:
    """Keep a reading for the turn it names, until that opens."""
    if signal.audit_id is None or (signal.audit_id not in memory.turns and memory.known_content(signal.audit_id)):
        memory.show_later(signal.listed("other_turn"), rules)
        return
    waiting = {reading.audit_id: reading for reading in memory.risk_waiting}
    known = waiting.get(signal.audit_id)
    waiting[signal.audit_id] = signal if known is None else _joined(known, signal)
    readings = list(waiting.values())
    for over in readings[: -rules.risk_signals]:
        memory.risk_over = over if memory.risk_over is None else _joined(memory.risk_over, over)
    memory.risk_waiting = readings[-rules.risk_signals :]


def _take_own(memory: Memory, audit_id: str, rules: MemoryRules) -> list[Accepted]:
    """Take the readings for this turn alone out of memory; the next turn shows them as another turn's."""
    own, memory.risk_waiting = memory.own_and_others(memory.risk_waiting, audit_id, rules)
    return own


def _by_level(readings: Iterable[Accepted]) -> list[Accepted]:
    """One reading per hundredth of the level, from the lowest; none counts for less, or for shorter, than before."""
    joined: dict[int, Accepted] = {}
    for reading in readings:
        step = ceil(reading.level * _STEPS)
        joined[step] = _joined(joined[step], reading) if step in joined else reading
    return [joined[step] for step in sorted(joined)]


def _joined(one: Accepted, other: Accepted) -> Accepted:
    """The higher of two readings, with the later end and the later arrival of both."""
    best = min(one, other, key=Accepted.highest_first)
    return best._replace(
        until=max(one.until, other.until), serial=max(one.serial, other.serial), shown=one.shown and other.shown
    )
