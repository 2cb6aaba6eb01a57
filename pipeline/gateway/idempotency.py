"""`Idempotency-Key`: a retry is the same record, byte for byte; another body under the same key is refused.

The key, scoped to the API key, names the record's id. What the first try sent, and when, is kept for a day in
Redis, shared by all gateways, and in process for as long as there is room. Where neither knows it, Kafka does: the
worker recognises the id, and `lookback` finds the answer that was derived from it.
"""

import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.shared import Shared

HEADER = "idempotency-key"
KEPT_S = 86_400
_MOST = 10_000
_MOST_CHARS = 255
_WAITS = 202
"""Status of an answer about a call or turn that a person has still to decide."""
_MOST_KEPT_BYTES = 32 << 10
"""A longer answer is not kept: the retry waits for it anew."""


@dataclass
class Slot:
    """One request under a key (or under none: then nothing is kept)."""

    name: str
    """Name of the slot; empty without a key."""
    seed: str
    """What ids of the request's records are made of; the same for a retry."""
    ts: float
    """Event time of its records where it names none; the same for a retry."""
    keyed: bool
    again: bool
    """Whether this is known to be a retry."""
    answer: Response | None = None
    """The answer to the first try, where this process gave it."""

    def id_of(self, index: int = 0) -> str:
        """Return the id of the request's record of this index."""
        return f"door-{self.seed}" + (f"-{index}" if index else "")


class Idempotency:
    """What was asked under which key."""

    def __init__(self, shared: Shared, clock: Callable[[], float] = time.time) -> None:
        self._shared = shared
        self._clock = clock
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def begin(self, caller: Caller, request: Request, body: Any, implied: str | None = None) -> Slot:
        """Return the slot of a request. body: its JSON. Raises Problem, 422, for another body or an invalid key.

        implied: used as the key where the request has none, for records whose content says that they are one.
        """
        key = request.headers.get(HEADER, implied)
        if key is None:
            return Slot("", uuid.uuid4().hex, self._clock(), keyed=False, again=False)
        asked = request.method.encode(), request.url.path.encode(), orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        return await self.claimed(caller.name, key, hashlib.sha256(b"\0".join(asked)).hexdigest())

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._clock()

    async def claimed(self, client: str, key: str, digest: str) -> Slot:
        """Return the slot of a client's key. digest: of all that is asked. Raises Problem as `begin` does."""
        if not 1 <= len(key) <= _MOST_CHARS or not key.isprintable():
            raise Problem("invalid", f"header {HEADER}: expected 1 to {_MOST_CHARS} printable characters")
        name = hashlib.sha256(f"{client}\0{key}".encode()).hexdigest()
        mine = {"digest": digest, "ts": self._clock()}
        known = self._known.get(name)
        if known is None:
            known = await self._remember(name, mine)
            self._known[name] = dict(known or mine)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        if known is not None and known["digest"] != digest:
            raise Problem("idempotency_mismatch", f"header {HEADER}: used before for another request")
        self._known.move_to_end(name)
        kept = self._known[name]
        answer = kept.get("answer")
        return Slot(name, name[:32], kept["ts"], True, known is not None, _again(answer) if answer else None)

    def finish_decided(self, slot: Slot, answer: Response, statuses: Sequence[int] = ()) -> None:
        """Keep the answer to a call or turn, unless it still waits for a person (202).

        Whoever asks again is to get what was decided. statuses: of the calls of a batch, which one answer is for.
        """
        if all(status != _WAITS for status in statuses or (answer.status_code,)):
            self.finish(slot, answer)

    def finish(self, slot: Slot, answer: Response) -> None:
        """Keep an answer that will not change for the retries."""
        if not slot.keyed or answer.status_code >= 500 or len(answer.body) > _MOST_KEPT_BYTES:
            return
        if (known := self._known.get(slot.name)) is not None:
            headers = {one: text for one, text in answer.headers.items() if one != "content-length"}
            known["answer"] = bytes(answer.body), answer.status_code, headers

    async def _remember(self, name: str, mine: dict[str, Any]) -> dict[str, Any] | None:
        """What Redis knows of the key; None where this is the first try, or Redis is away."""
        place = self._shared.key("idempotency", name)

        async def known(redis: Any) -> Any:
            return None if await redis.set(place, orjson.dumps(mine), nx=True, ex=KEPT_S) else await redis.get(place)

        stored = await self._shared.ask(known)
        if stored is None:
            return None
        try:
            found = orjson.loads(stored)
            return {"digest": str(found["digest"]), "ts": float(found["ts"])}
        except (ValueError, TypeError, KeyError):
            return None  # not ours


def _again(answer: tuple[bytes, int, dict[str, str]]) -> Response:
    content, status, headers = answer
    return Response(content, status, headers | {"idempotent-replayed": "true"})
