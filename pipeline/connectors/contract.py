"""What an effect is to its runner (endocrine.pipeline.connectors.effect_runner)."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

INTERRUPTED = "interrupted: not run again"
"""Error of an effect that was started by someone, has no answer, and must not run twice."""


LATEST_TS = 253_402_300_799.0
"""The last second that records may name (`endocrine.schemas.base.Ts`)."""


class EffectRecord(NamedTuple):
    """A record to produce."""

    topic: str
    """Without prefix."""
    value: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One request as it was read."""

    value: dict[str, Any]
    identity: str
    partition: int
    offset: int
    age_s: float
    """Seconds since the broker took it until we did; 0 or more."""
    taken_at: float = field(default_factory=time.monotonic)
    """Monotonic clock of this process."""
    traceparent: bytes | None = None
    origin: tuple[str, int, int] | None = None
    """Topic without prefix, partition and offset of the record because of which an agent of ours asked, by the sealed
    `endocrine-origin`; None: not named, or the seal is not checked."""

    emit: Callable[[EffectRecord, str], Awaitable[None]] | None = None
    """Puts a record that comes before the answer on record at once, under the effect's id and this ending of it; a
    runner gives it. None: nobody can take one."""

    def ts_now(self) -> float:
        """Return the event time of an answer given now: the request's `ts` and what went by since it was appended."""
        return min(float(self.value["ts"]) + self.age_s + time.monotonic() - self.taken_at, LATEST_TS)


class Effect(Protocol):
    """One kind of effect. Values are JSON objects as on the topics, validated by the topic's model."""

    name: str
    """Name of the connector; its consumer group is `<group>.<name>`."""
    requests: str
    """Topic of requests, without prefix."""
    answers: str
    """Topic of answers, without prefix."""

    def request_id(self, value: dict[str, Any]) -> str | None:
        """Return the id of the effect this record asks for; None: it asks for nothing of ours."""
        ...

    def answer_id(self, value: dict[str, Any]) -> str | None:
        """Return the id of the effect that a record on the answers' topic answers."""
        ...

    def repeatable(self, value: dict[str, Any]) -> bool:
        """Return whether the effect may run twice without harm."""
        ...

    async def run(self, request: Request) -> Sequence[EffectRecord]:
        """Do it. May be cancelled at any await (revocation, stop)."""
        ...

    def failed(self, request: Request, error: str) -> Sequence[EffectRecord]:
        """Return the answer when it could not be done: `run` raised, or it was interrupted."""
        ...


@dataclass(frozen=True)
class Limits:
    """Bounds of a runner."""

    concurrency: int = 64
    """Effects that run at once."""
    waiting: int = 256
    """Requests taken per partition before it is paused. More than `concurrency`, so that one slow one holds up none."""
    drain_s: float = 5.0
    """Seconds that what runs gets to finish when its partition goes or the runner stops."""
