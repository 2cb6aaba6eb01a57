"""Which of the accepted signals count for a turn, and what is listed of the rest (rules, section 1)."""

from collections.abc import Iterable
from typing import Any

from endocrine.agents.modulation import risk
from endocrine.agents.modulation.memory import RISK, Accepted, Memory, Turn
from endocrine.agents.modulation.rules import MemoryRules
from endocrine.agents.modulation.stored import Listed
from endocrine.agents.policy.compiled import Policy


def for_opening(memory: Memory, audit_id: str, ts: float, rules: MemoryRules) -> tuple[list[Accepted], list[Listed]]:
    """Return the signals that count for a turn that opens, and everything looked at that does not, with its fate.

    What was listed leaves memory: suppressions and expired signals are shown once. A signal of a turn that is still
    to come is shown once and stays.
    """
    listed = memory.to_show
    memory.to_show = []
    for name, signals in memory.active.items():
        listed += [signal.listed("expired") for signal in signals if not signal.active_at(ts)]
        memory.active[name] = [signal for signal in signals if signal.active_at(ts)]
    own = _take_own(memory, audit_id, rules)
    highest, others = risk.for_opening(memory, audit_id, ts, rules)
    listed += others
    waiting = []
    for signal in memory.one_turn:
        if not signal.shown:
            listed.append(signal.listed("other_turn"))
        if signal.audit_id is not None and memory.known_content(signal.audit_id) is None:
            waiting.append(signal._replace(shown=True))
    memory.one_turn = waiting
    used = _one_per_name([*own, *(signal for signals in memory.active.values() for signal in signals)])
    if highest is None:
        return used, listed
    refused = (highest.listed("budget"), highest.listed("cooldown"))  # it counts all the same: listed once, as used
    return [*used, highest], [entry for entry in listed if entry not in refused]


def for_revision(memory: Memory, audit_id: str, turn: Turn, rules: MemoryRules, *, risk_alone: bool) -> list[Accepted]:
    """Return the signals that count for an open turn now: those that made it, and those active for it that came since.

    risk_alone: the record at hand raised alignment_risk and nothing else, so of the others none is looked at anew: it
    must not bring in by the way what loosens.
    """
    highest = risk.for_revision(memory, audit_id, turn, rules)
    used = [signal for signal in turn.used if signal.name != RISK]
    if not risk_alone:
        active = [signal for signals in memory.active.values() for signal in signals if signal.active_at(turn.ts)]
        used = _one_per_name([*used, *_take_own(memory, audit_id, rules), *active])
    return used if highest is None else [*used, highest]


def listing(policy: Policy, used: Iterable[Accepted], others: Iterable[Listed]) -> list[Listed]:
    """Return what a modulation lists: by weight, then time, the latest first; those used come first where not all
    fit."""
    limit = policy.document.homeostat.memory.listed
    entries = [*(signal.listed() for signal in used), *others][:limit]

    def order(entry: Listed) -> tuple[Any, ...]:
        return (policy.ranks[entry["name"]], -entry["ts"], -entry["level"], entry["source"], entry["fate"])

    return sorted(entries, key=order)


def _take_own(memory: Memory, audit_id: str, rules: MemoryRules) -> list[Accepted]:
    """Take the one-turn signals of this turn out of memory; the next turn shows them as another turn's."""
    own, memory.one_turn = memory.own_and_others(memory.one_turn, audit_id, rules)
    return own


def _one_per_name(signals: Iterable[Accepted]) -> list[Accepted]:
    """Of several of one name the latest; at equal time the highest; then by source, so that order does not matter."""
    best: dict[str, Accepted] = {}
    for signal in sorted(signals, key=Accepted.latest_first):
        best.setdefault(signal.name, signal)
    return list(best.values())
