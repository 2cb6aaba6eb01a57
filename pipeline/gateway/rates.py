"""Token buckets: how often a key may ask. In Redis, shared by all gateways; in process while Redis is away."""

import time
from collections.abc import Callable
from typing import Any

from endocrine.pipeline.gateway.shared import Shared

_SCRIPT = """
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local tokens = math.min(burst, (tonumber(kept[1]) or burst) + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate) + 1)
return tostring(wait)
"""


class Bucket:
    """One token bucket in process. Times are passed in, seconds of a clock that does not go back."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> float:
        """Take one token; seconds to wait where there is none, else 0."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Rates:
    """The buckets of all keys."""

    def __init__(self, shared: Shared, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._buckets: dict[tuple[str, float, int], Bucket] = {}

    async def take(self, name: str, rate: float, burst: int) -> float:
        """Take one token of this key's bucket; seconds to wait where there is none, else 0."""
        place = self._shared.key("rate", name)
        wait: Any = await self._shared.ask(lambda redis: redis.eval(_SCRIPT, 1, place, rate, burst))
        if wait is not None:
            return float(wait)
        now = self._clock()
        bucket = self._buckets.setdefault((name, rate, burst), Bucket(rate, burst, now))
        return bucket.take(now)
