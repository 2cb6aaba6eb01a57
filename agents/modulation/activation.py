"""Which of the accepted signals count for a turn, and what is listed of the rest (rules, section 1)."""

from collections.abc import Iterable
from typing import Any

from agents.modulation.memory import Held, Memory
from agents.modulation.rules import MemoryRules
from agents.policy.compiled import Policy


def for_opening(
    memory: Memory, audit_id: str, ts: float, rules: MemoryRules
) -> tuple[list[Held], list[dict[str, Any]]]:
    """The signals that count for a turn that opens, and everything looked at that does not, with its fate.

    What was listed leaves memory: suppressions and expired signals are shown once. A signal of a turn that is still
    to come is shown once and stays.
    """
    listed = memory.to_show
    memory.to_show = []
    for name, signals in memory.active.items():
        listed += [signal.listed("expired") for signal in signals if not signal.active_at(ts)]
        memory.active[name] = [signal for signal in signals if signal.active_at(ts)]
    own = _take_own(memory, audit_id, rules)
    waiting = []
    for signal in memory.one_turn:
        if not signal.shown:
            listed.append(signal.listed("other_turn"))
        if signal.audit_id is not None and memory.known_content(signal.audit_id) is None:
            waiting.append(signal._replace(shown=True))
    memory.one_turn = waiting
    return _one_per_name([*own, *(signal for signals in memory.active.values() for signal in signals)]), listed


def for_revision(memory: Memory, audit_id: str, ts: float, used: list[Held], rules: MemoryRules) -> list[Held]:
    """The signals that count for an open turn now: those that made it, and those active for it that came since."""
    active = [signal for signals in memory.active.values() for signal in signals if signal.active_at(ts)]
    return _one_per_name([*used, *_take_own(memory, audit_id, rules), *active])


def listing(policy: Policy, used: Iterable[Held], others: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a modulation lists: by weight, then time, the latest first; those used come first where not all fit."""
    limit = policy.document.homeostat.memory.listed
    entries = [*(signal.listed() for signal in used), *others][:limit]

    def order(entry: dict[str, Any]) -> tuple[Any, ...]:
        return (policy.ranks[entry["name"]], -entry["ts"], -entry["level"], entry["source"], entry["fate"])

    return sorted(entries, key=order)


def _take_own(memory: Memory, audit_id: str, rules: MemoryRules) -> list[Held]:
    """Take the one-turn signals of this turn out of memory; the next turn shows them as another turn's."""
    own = [signal for signal in memory.one_turn if signal.audit_id == audit_id]
    memory.one_turn = [signal for signal in memory.one_turn if signal.audit_id != audit_id]
    for signal in own:
        memory.show_later(signal.listed("other_turn"), rules)
    return own


def _one_per_name(signals: Iterable[Held]) -> list[Held]:
    """Of several of one name the latest; at equal time the highest; then by source, so that order does not matter."""
    best: dict[str, Held] = {}
    for signal in sorted(signals, key=Held.latest_first):
        best.setdefault(signal.name, signal)
    return list(best.values())
