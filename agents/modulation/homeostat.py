"""The homeostat: policy and rate limiter; nothing else lets a signal onto the regulated path (rules, section 1).

A signal is clamped, then tried against its name's cooldown, then against its source's budget, then held to its
source's cap. Signals of equal time are one moment: none cools down another, and the highest level of the moment
counts, so their order of arrival does not matter.

alignment_risk may only tighten, so no limit makes it count for nothing: a reading within a cooldown or over its
source's budget is shown as such, and counts all the same where it is the highest. It spends no budget of other signals.
"""

from endocrine.agents._shared.clock import bounded, forward
from endocrine.agents.modulation import risk
from endocrine.agents.modulation.memory import RISK, Accepted, Memory, Run, micros
from endocrine.agents.modulation.rules import BudgetRules, HomeostatRules, StabilizeRules
from endocrine.agents.policy.compiled import Policy

OTHER_SOURCES = ""
"""Key of the budget that sources beyond the bound share; no source has an empty name."""


def admit(memory: Memory, policy: Policy, signal: Accepted, appended: float | None = None) -> bool:
    """Accept a signal into memory, or keep its refusal for the next explanation. True when it may change a turn.

    appended: append time of the record it came with, seconds; None where that is not known.
    """
    rules = policy.document.homeostat
    level = min(1.0, max(0.0, signal.level))
    signal = signal._replace(level=level, fate="used" if level == signal.level else "clamped")
    refused = _refusal(memory, signal, policy, appended)
    if refused is not None and signal.name != RISK:
        memory.show_later(signal.listed(refused), rules.memory)
        return False
    cap = rules.caps.get(signal.source)
    if cap is not None and signal.level > cap:
        signal = signal._replace(level=cap, fate="capped")
    if refused is not None:
        memory.show_later(signal.listed(refused), rules.memory)
    else:
        ts = _claimed(signal, policy, appended)
        memory.accepted[signal.name] = forward(memory.accepted.get(signal.name), ts)
    _hold(memory, signal, rules)
    if signal.name == "stress":
        _counter(memory, signal, rules)
    return True


def _refusal(memory: Memory, signal: Accepted, policy: Policy, appended: float | None) -> str | None:
    """The limit that the signal is over, as a fate; None: it is within all, and counted against its source's budget.

    A signal from before the last accepted one of its name comes within its cooldown: stepping back in time is no way
    around it.
    """
    last, ts = memory.accepted.get(signal.name), _claimed(signal, policy, appended)
    if last is not None and micros(ts) != micros(last):
        since = micros(forward(last, ts)) - micros(last)
        if since < policy.cooldowns_us[signal.name]:
            return "cooldown"
    return None if _spend(memory, signal, policy.document.homeostat.budget, appended) else "budget"


def _claimed(signal: Accepted, policy: Policy, appended: float | None) -> float:
    """The signal's time for the cooldown of its name: one claimed ahead keeps others out for one cooldown at most."""
    return bounded(signal.ts, appended, policy.cooldowns_us[signal.name] / 1e6)


def _spend(memory: Memory, signal: Accepted, rules: BudgetRules, appended: float | None) -> bool:
    """Count the signal against its source's budget; False when the window's budget is spent."""
    kind, budgets = ("risk", memory.risk_budgets) if signal.name == RISK else ("signals", memory.budgets)
    clock = forward(memory.clocks.get(kind), bounded(signal.ts, appended, rules.window_ms / 1000))
    memory.clocks[kind] = clock
    now, length = micros(clock), rules.window_ms * 1000
    source = signal.source
    if source not in budgets:
        for name in [name for name, (began, _) in budgets.items() if now - began >= length]:
            del budgets[name]
        if len(budgets.keys() - {OTHER_SOURCES}) >= rules.sources:
            source = OTHER_SOURCES
    start, count = budgets.get(source, [now, 0])
    if now - start >= length:
        start, count = now, 0
    if count >= rules.signals:
        return False
    budgets[source] = [start, count + 1]
    return True


def _hold(memory: Memory, signal: Accepted, rules: HomeostatRules) -> None:
    """Keep an accepted signal, and forget those of its name that can never count beside it."""
    if signal.name == RISK:
        risk.hold(memory, signal, rules.memory, memory.clocks.get("turns", 0.0))
        return
    if signal.ttl_ms == 0:
        kept = [*memory.one_turn, signal]
        for dropped in kept[: -rules.memory.one_turn_signals]:
            if not dropped.shown:
                memory.show_later(dropped.listed("other_turn"), rules.memory)
        memory.one_turn = kept[-rules.memory.one_turn_signals :]
        return
    same_name = sorted([*memory.active.get(signal.name, []), signal], key=Accepted.latest_first)
    kept, longest = [], -1
    for held in same_name:
        expiry = micros(held.ts) + held.ttl_ms * 1000
        if expiry > longest:
            kept.append(held)
            longest = expiry
        elif micros(held.ts) == micros(signal.ts):
            memory.show_later(held.listed("cooldown"), rules.memory)
    memory.active[signal.name] = kept[: rules.memory.signals_per_name]


def _counter(memory: Memory, signal: Accepted, rules: HomeostatRules) -> None:
    """Follow the run of stress, and emit the counter-signal once when it is long enough."""
    memory.stress, emit = follow(memory.stress, signal, rules.stabilize)
    if emit:
        calm = rules.stabilize
        _hold(
            memory,
            Accepted("stabilize", calm.level, calm.ttl_ms, calm.source, signal.audit_id, signal.ts, "used"),
            rules,
        )


def follow(run: Run | None, signal: Accepted, rules: StabilizeRules) -> tuple[Run, bool]:
    """Return the run after an accepted stress signal, and whether it calls for the counter-signal now.

    A signal from before the latest moment changes nothing: a run goes forward in event time.
    """
    level, emitted = signal.level, False
    if run is None:
        length_before, armed_before = 0, True
    elif micros(signal.ts) < micros(run.ts):
        return run, False
    elif micros(signal.ts) == micros(run.ts):
        level, length_before, armed_before = max(level, run.level), run.length_before, run.armed_before
        emitted = armed_before and not run.armed
    else:
        length_before, armed_before = run.length, run.armed
    if level < rules.threshold:
        return Run(signal.ts, level, length_before, armed_before, 0, True), False
    length = min(length_before + 1, rules.consecutive)
    fires = armed_before and length >= rules.consecutive
    return Run(signal.ts, level, length_before, armed_before, length, armed_before and not fires), fires and not emitted
