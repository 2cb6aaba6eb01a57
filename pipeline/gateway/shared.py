"""What gateways share in Redis: an answer, or None while Redis is away, which is not asked again at once."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")
_WAIT_S = 0.5
"""Seconds that a request may wait for a Redis that hangs."""
_AWAY_S = 5.0
"""Seconds for which a Redis that failed is not asked again."""


class Shared:
    """One Redis, or none. Requests go on without it. prefix: of the deployment's topics, so that keys are its own."""

    def __init__(self, redis: "Redis | None", prefix: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._away_until = -math.inf

    def key(self, kind: str, name: str) -> str:
        """Return the key of something of this deployment."""
        return f"endocrine:gateway:{kind}:{self._prefix}:{name}"

    async def ask(self, question: "Callable[[Any], Awaitable[T]]") -> T | None:
        """Return what `question(redis)` gives; None where Redis is absent or away."""
        now = self._clock()
        if self._redis is None or now < self._away_until:
            return None
        try:
            async with asyncio.timeout(_WAIT_S):
                return await question(self._redis)
        except (RedisError, OSError, TimeoutError):
            self._away_until = now + _AWAY_S
            return None
