"""Waiting for what is derived from a record of ours, and what is answered when it does not come."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from endocrine.agents.modulation.combine import Hold, Style, settle
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.functions import functions_of
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.lookback import WINDOW_S
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Refused, Watch
from endocrine.pipeline.process.cancelling import cancelled

T = TypeVar("T")

_RETRY_S = 0.3
"""Seconds after which a request under an idempotency key is taken for a retry: its answer may lie behind us."""


async def awaited(
    gateway: Gateway, watch: Watch, slot: Slot, topic: str, found: Callable[[Watch], T | None], within_s: float
) -> T | None:
    """Return what `found` gives of the watch, None where it does not come in time. Raises Problem for a dead letter of
    ours.

    topic: of the derived record, to be read back where the request may be a retry.
    """
    searching: asyncio.Task[None] | None = None
    if slot.keyed and not slot.again:
        searching = asyncio.create_task(_look_back(gateway, watch, topic, _RETRY_S))
    try:
        async with asyncio.timeout(within_s):
            if slot.again:  # to its end: what was decided first may have been decided anew since
                await _look_back(gateway, watch, topic, 0.0)
            result: T | Refused = await watch.until(lambda w: _found(w, found))
            if isinstance(result, Refused):
                if slot.keyed and "conflict" in result.kind:  # a retry whose first try is kept nowhere
                    return await _earlier(gateway, watch, slot, topic, found, result)
                raise refusal(result)
            return result
    except TimeoutError:
        return None
    finally:
        if searching is not None:
            await cancelled([searching])


def _found(watch: Watch, found: Callable[[Watch], T | None]) -> T | Refused | None:
    result = found(watch)
    return next(iter(watch.refused.values()), None) if result is None else result


def refusal(refused: Refused) -> Problem:
    """Return a dead letter as an answer."""
    kind = "conflict" if refused.kind not in ("invalid", "not_json", "too_large") else "invalid"
    return Problem(kind, refused.message, more={"reason": refused.kind})


async def _look_back(gateway: Gateway, watch: Watch, topic: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    with suppress(KafkaError, TimeoutError):
        await gateway.lookback.into(watch, topic, time.time() - WINDOW_S)


async def _earlier(
    gateway: Gateway, watch: Watch, slot: Slot, topic: str, found: Callable[[Watch], T | None], refused: Refused
) -> T:
    """The answer to the first try, if that had the same content. Raises Problem, 422, where it did not."""
    source = {"modulations": "interactions", "tool-decisions": "tool-calls"}.get(topic)
    if source is not None:
        first = await gateway.lookback.record(source, watch.identity, refused.record_id, time.time() - WINDOW_S)
        if first is not None and not _same(first, watch.asked):
            raise Problem("idempotency_mismatch", "the idempotency key was used before for another request")
    await gateway.lookback.into(watch, topic, time.time() - WINDOW_S)
    answer = found(watch)
    if answer is None:
        raise refusal(refused)
    return answer


def _same(first: Any, asked: dict[str, Any]) -> bool:
    """Whether two records are one but for the time that the door gave them."""
    return isinstance(first, dict) and {**first, "ts": None} == {**asked, "ts": None}


def strict_parameters(policy: Policy) -> dict[str, Any]:
    """Return the parameters of a turn of which nothing is known, as strict as the policy makes them."""
    return settle(policy, {}, Style(locked=True), Hold()).parameters


def late_advice(gateway: Gateway, audit_id: str, identity: str) -> dict[str, Any]:
    """Return what is answered where a turn's parameters come too late: the strict defaults, marked as such."""
    return {"audit_id": audit_id, "identity": identity, **_strict_defaults(gateway.policy.of(identity))}


@lru_cache(maxsize=8)  # the policy in force, its canary and those before them: overload is no time to make them anew
def _strict_defaults(policy: Policy) -> dict[str, Any]:
    parameters = strict_parameters(policy)
    return {
        "revision": None,
        "admitted": True,
        "refusal": None,
        "review": "none",
        "mode": parameters["safety_mode"],
        "parameters": parameters,
        "prompt_style": parameters["safety_mode"],
        "functions": functions_of(parameters["tool_allowlist"], policy),
        "policy": policy.digest,
        "advice": "late",
    }
