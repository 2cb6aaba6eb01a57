"""Waiting until a turn is admitted and its prompt judged: the model is asked, or the turn has ended.

The conversation agent asks the model only then, so its request is the proof; the modulation alone proves nothing.
"""

import asyncio
import time
from contextlib import suppress

from aiokafka.errors import KafkaError

from endocrine.pipeline.gateway.lookback import WINDOW_S
from endocrine.pipeline.gateway.openai.answers import refusal_of
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai_port.rounds import Rounds
from endocrine.pipeline.gateway.openai_port.turn import closed_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Refused as DeadLetter
from endocrine.pipeline.gateway.watch import Watch
from endocrine.pipeline.process.cancelling import cancelled

_TOPICS = ("modulations", "model-requests", "model-replies", "tool-decisions", "interactions")
"""What a retry reads back, in an order in which no end is seen before what led to it."""
_HELD = "The turn waits for a person, who must look at it first. Nothing was run."
_GOES_ON = object()


async def admitted(gateway: Gateway, rounds: Rounds, within_s: float, look_back_s: float | None) -> None:
    """Return when the turn goes on. look_back_s: seconds without news after which it is taken for a retry; None: never.

    Raises Refused: what ended it, or `decision_timeout`.
    """
    watch = rounds.watch
    searching: asyncio.Task[None] | None = None
    if look_back_s is not None:
        searching = asyncio.create_task(_look_back(gateway, rounds, look_back_s))
    try:
        async with asyncio.timeout(within_s):
            found = await watch.until(lambda _: _state(rounds))
            if isinstance(found, DeadLetter):
                if "conflict" not in found.kind:
                    raise _refusal(found, watch)
                # Another gateway's first try of the same request, or another request: what was derived tells.
                await _read(gateway, watch)
                watch.refused.clear()
                if _state(rounds) is None:
                    raise Refused("idempotency_key_reused", audit_id=watch.audit_id)
    except TimeoutError:
        raise Refused("decision_timeout", audit_id=watch.audit_id) from None
    finally:
        if searching is not None:
            await cancelled([searching])
    if watch.closed is None:
        if _held(rounds):
            raise Refused("decision_timeout", _HELD, audit_id=watch.audit_id)
        return
    refused = refusal_of(closed_of(rounds, watch.closed.value), watch.audit_id or "")
    if refused is not None:
        raise refused


def _state(rounds: Rounds) -> object | None:
    """A dead letter of ours, or anything where the turn goes on, has ended, or waits for a person."""
    watch = rounds.watch
    if watch.closed is not None:
        return _GOES_ON
    if watch.refused:
        return next(iter(watch.refused.values()))
    if watch.modulation is None:
        return None
    return _GOES_ON if rounds.requests() or _held(rounds) else None


def _held(rounds: Rounds) -> bool:
    modulation = rounds.watch.modulation
    return not rounds.observed and modulation is not None and modulation["refusal"] == "held"


def _refusal(dead: DeadLetter, watch: Watch) -> Refused:
    if dead.kind in ("unknown_tool_call", "unsealed_result"):
        return Refused("unknown_tool_call", audit_id=watch.audit_id)
    code = "request_too_large" if dead.kind == "too_large" else "invalid_value"
    return Refused(code, audit_id=watch.audit_id)


async def _look_back(gateway: Gateway, rounds: Rounds, after_s: float) -> None:
    await asyncio.sleep(after_s)
    if _state(rounds) is None:
        with suppress(KafkaError, TimeoutError):
            await _read(gateway, rounds.watch)


async def _read(gateway: Gateway, watch: Watch) -> None:
    since = time.time() - WINDOW_S
    for topic in _TOPICS:
        await gateway.lookback.into(watch, topic, since)
