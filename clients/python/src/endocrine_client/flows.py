"""What a client does, step by step, without doing it: generators that a blocking and an async client run alike."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from endocrine_client.calls import ToolCall
from endocrine_client.delivery import Delivery
from endocrine_client.protocol import (
    UNAVAILABLE,
    Answer,
    Modulation,
    Request,
    opened,
    revised,
    undecided,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Post a request; the flow goes on with its `Answer`."""

    request: Request
    within_s: float


@dataclass(frozen=True)
class Wait:
    """Wait some seconds."""

    seconds: float


@dataclass(frozen=True)
class Block:
    """Call what blocks for a moment (a file); the flow goes on with what it returns."""

    work: Callable[[], Any]


Step = Send | Wait | Block
Flow = Generator[Step, Any, T]
_AGAIN_S = 0.1
_LONGEST_AGAIN_S = 1.0


def opening(delivery: Delivery, request: Request, audit_id: str, within_s: float) -> Flow[tuple[Modulation, bool]]:
    """Open a turn: its modulation, and whether it is or will be on record. Raises Denied, Pending.

    Advice fails open: without an answer the parameters are strict, no function is offered, and the opening waits in
    the spool, before all that follows it.
    """
    until = time.monotonic() + within_s
    answer = Answer(0, {}, {}, "earlier records wait")
    if (yield from _earlier(delivery, request.identity, within_s)):
        for attempt in range(2):
            if attempt:
                yield Wait(_AGAIN_S)
            answer = yield Send(request, max(0.1, until - time.monotonic()))
            if not answer.passing:
                break
    modulation = opened(answer, audit_id)
    if modulation is not None:
        return modulation, True
    if answer.fate == "refused":
        delivery.refused(request.path, answer)
        return UNAVAILABLE, False
    kept = yield Block(lambda: delivery.keep(request))
    return UNAVAILABLE, bool(kept)


@dataclass
class Asked:
    """The outcome of a decision's request: the answer as it came."""

    answer: Answer
    modulation: Modulation | None


def asking(delivery: Delivery, request: Request, call: ToolCall, audit_id: str, within_s: float) -> Flow[Asked]:
    """Ask whether a call may run, again under the same id while time is left. Raises NotDecided: fail closed.

    What this identity's turn captured before goes first; without it the decision would rest on less.
    """
    until = time.monotonic() + within_s
    if not (yield from _earlier(delivery, request.identity, within_s)):
        raise undecided("earlier records of this identity are not delivered", audit_id, call.call_id)
    pause_s = _AGAIN_S
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise undecided(f"no decision within {within_s:g} s", audit_id, call.call_id)
        answer = yield Send(request, left)
        if not answer.passing:
            return Asked(answer, revised(answer))
        wait_s = max(pause_s, answer.retry_after_s)
        if time.monotonic() + wait_s >= until:
            raise undecided(f"no decision within {within_s:g} s: {answer}", audit_id, call.call_id)
        yield Wait(wait_s)
        pause_s = min(2 * pause_s, _LONGEST_AGAIN_S)


def _earlier(delivery: Delivery, identity: str, within_s: float) -> Flow[bool]:
    """Deliver what is spooled of an identity. False: some of it is still there."""
    delivered = yield Block(lambda: delivery.deliver(within_s, identity))
    return bool(delivered)
