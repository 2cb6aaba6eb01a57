"""When something happened, by both clocks there are: the identity's own, which its records claim, and the broker's.

A moment is `[clock, appended]`, seconds since 1970: the identity's clock (agents._shared.clock) and the append time of
the record, null where no broker took it. What must last for some time lasts until both say that it is over: a claimed
`ts` from the future cannot cut it short, and holds nobody up for longer than the engine lets a `ts` lie ahead of its
append.
"""

from endocrine.agents.contract import Trigger
from endocrine.agents.gating.memory import GatingState, Moment


def now(state: GatingState, trigger: Trigger) -> Moment:
    """Return the moment of a record, whose `ts` the clock of the state has seen."""
    return [state["clock"], trigger.appended]


def elapsed_us(since: Moment | float, at: Moment) -> int:
    """Return the microseconds from one moment to another: of the two clocks, those of the slower one."""
    then_clock, then_appended = since if isinstance(since, list) else (since, None)
    clock, appended = at
    by_clock = micros(clock) - micros(then_clock)
    if then_appended is None or appended is None:
        return by_clock
    return min(by_clock, micros(appended) - micros(then_appended))


def unforgeable(at: Moment) -> float:
    """Return the append time where there is one, else the identity's clock, in seconds."""
    clock, appended = at
    found = clock if appended is None else appended
    assert found is not None
    return found


def micros(seconds: float | None) -> int:
    """Return seconds as whole microseconds: differences of them are exact."""
    assert seconds is not None
    return round(seconds * 1e6)
