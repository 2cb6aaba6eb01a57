"""When something happened, by both clocks there are: the identity's own, which its records claim, and the broker's.

A moment is `[clock, appended]`, seconds since 1970: the identity's clock (agents._shared.clock) and the append time of
the record, null where no broker took it. What must last for some time lasts until both say that it is over: a claimed
`ts` from the future cannot cut it short, and holds nobody up for longer than the engine lets a `ts` lie ahead of its
append.
"""

from typing import Any

from endocrine.agents.contract import Trigger

Moment = list[float | None]


def now(state: dict[str, Any], trigger: Trigger) -> Moment:
    """Return the moment of a record, whose `ts` the clock of the state has seen."""
    return [state["clock"], trigger.appended]


def elapsed_us(since: Any, at: Moment) -> int:
    """Return the microseconds from one moment to another: of the two clocks, those of the slower one."""
    clock, appended = since if isinstance(since, list) else (since, None)
    by_clock = micros(at[0]) - micros(clock)
    return by_clock if appended is None or at[1] is None else min(by_clock, micros(at[1]) - micros(appended))


def unforgeable(at: Moment) -> float:
    """Return the append time where there is one, else the identity's clock, in seconds."""
    found = at[0] if at[1] is None else at[1]
    assert found is not None
    return found


def micros(seconds: float | None) -> int:
    """Return seconds as whole microseconds: differences of them are exact."""
    assert seconds is not None
    return round(seconds * 1e6)
