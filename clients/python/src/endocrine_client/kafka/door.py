"""Produce the record of a request, wait for what is derived from it, answer as the gateway does. Fails closed."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from endocrine_client.kafka import answers
from endocrine_client.kafka.answers import Reply, problem
from endocrine_client.kafka.binding import digest_of, partition_of
from endocrine_client.kafka.records import NeedsGateway, Record, record_of
from endocrine_client.kafka.watch import Following, Raw, Seal, Watch

WAIT_S = 60.0
"""Seconds that a decision is waited for at most; the client gives up before (`decision_s`)."""
_REVISION_S = 0.5
"""Seconds that the revision after a denial is waited for; the answer names it either way."""
_PAUSE_S = 1.0
_log = logging.getLogger("endocrine_client")


class BrokerAway(Exception):
    """No broker answers, or it does not do what is asked; the message says what."""


class RecordTooLarge(Exception):
    """The broker takes no record of this size."""


class Broker(Protocol):
    """What is needed of Kafka. Topics are named without prefix."""

    async def start(self) -> int:
        """Follow the topics from their ends on; the number of their partitions. Raises BrokerAway."""
        ...

    async def send(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> int:
        """Append a record, wait for all replicas; its offset. Raises BrokerAway, RecordTooLarge."""
        ...

    async def fetch(self) -> Sequence[tuple[str, Raw]]:
        """The next records of the followed topics, with their topics. Raises BrokerAway."""
        ...

    async def stop(self) -> None:
        """Disconnect. Never raises."""
        ...


class Asked(NamedTuple):
    """A request of the client."""

    method: str
    path: str
    content: bytes
    key: str
    """Its `Idempotency-Key`."""
    wait_s: float = 0.0
    """Seconds that the outcome of a command is waited for."""


class Door:
    """Answers requests over a broker. seal: checks seals; None: without the key. advice_s: as the gateway's."""

    def __init__(
        self, broker: Broker, *, client: str = "python", seal: Seal | None = None, advice_s: float = 2.0,
        ack_s: float = 5.0,
    ) -> None:  # fmt: skip
        self._broker, self._client, self._seal = broker, client, seal
        self._advice_s, self._ack_s = advice_s, ack_s
        self._starting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._partitions = 0
        self.following: Following | None = None

    async def answer(self, asked: Asked) -> Reply:
        """Answer a request: with a problem where it cannot be done."""
        try:
            given = json.loads(asked.content) if asked.content else {}
            record = record_of(asked.method, asked.path, given, asked.key, self._client)
            content = record.content
        except NeedsGateway as error:
            detail = f"{error}: only the gateway answers this; use the HTTP transport, as in Endocrine(url)"
            return problem("needs_gateway", detail)
        except (ValueError, AttributeError, RecursionError) as error:
            return problem("invalid", f"no record: {type(error).__name__}")
        try:
            following = await self._ready()
        except BrokerAway as error:
            return problem("broker_away", str(error))
        if record.topic == "tool-calls":
            return await self._decide(following, record, content)
        if record.topic == "commands":
            return await self._command(following, record, content, asked.wait_s)
        if record.value.get("kind") == "opened":
            return await self._open(following, record, content)
        failed = await self._append(record, content)
        if failed is None and record.value.get("kind") == "closed":
            following.forget(record.identity, record.value["audit_id"])
        return failed or Reply(202, {"id": record.id})

    async def stop(self) -> None:
        """Disconnect."""
        for task in (self._starting, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._broker.stop()

    async def _open(self, following: Following, record: Record, content: bytes) -> Reply:
        audit_id = record.value.get("audit_id")
        if not isinstance(audit_id, str):
            return problem("invalid", "audit_id: expected a text")
        watch = following.turn(record.identity, audit_id)
        if failed := await self._once(watch, record, content):
            return failed
        found = await watch.until(lambda w: answers.opened(w, record.id), self._advice_s)
        return found or answers.late(watch)

    async def _decide(self, following: Following, record: Record, content: bytes) -> Reply:
        call, names = record.value, ("audit_id", "call_id", "tool")
        if not all(isinstance(call.get(name), str) for name in names):
            return problem("invalid", f"expected texts: {', '.join(names)}")
        watch, digest = following.turn(record.identity, call["audit_id"]), digest_of(call.get("arguments"))
        if failed := await self._once(watch, record, content):
            return failed
        found = await watch.until(lambda w: answers.decided(w, record.id, call, digest), WAIT_S)
        if found is None:
            return problem("decision_timeout", f"no decision within {WAIT_S:g} s", call_id=call["call_id"])
        revision = found.value.get("revision")
        if found.status == 403 and revision:
            await watch.until(lambda w: w.modulations.get(revision), _REVISION_S)
            found = answers.decided(watch, record.id, call, digest) or found
        return found

    async def _command(self, following: Following, record: Record, content: bytes, wait_s: float) -> Reply:
        with following.command(record.identity, record.value.get("audit_id")) as watch:
            if failed := await self._once(watch, record, content):
                return failed
            seen = await watch.until(
                lambda w: answers.refusal(w, record.id) or answers.outcome(w, record.value), wait_s
            )
            if isinstance(seen, Reply):
                return seen
            return Reply(202 if seen is None else 200, {"id": record.id, "outcome": seen})

    async def _once(self, watch: Watch, record: Record, content: bytes) -> Reply | None:
        """Append a record that the broker does not have yet. A problem where that fails."""
        if record.id in watch.recorded:
            return None  # asked again: nothing is derived from a copy, and what was derived first is in the watch
        watch.sending.add(record.id)
        failed = await self._append(record, content)
        if failed is None:
            watch.recorded.add(record.id)
        return failed

    async def _append(self, record: Record, content: bytes) -> Reply | None:
        key = record.identity.encode()
        place = partition_of(record.identity, self._partitions)
        try:
            await self._broker.send(record.topic, place, key, content, record.headers)
        except RecordTooLarge as error:
            return problem("too_large", str(error))
        except BrokerAway as error:
            return problem("not_recorded", f"{error}; it may have been written")
        return None

    async def _ready(self) -> Following:
        """Start, once. What is appended from now on is answered by what is followed already. Raises BrokerAway."""
        if self.following is None:
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._start())
                self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
            try:
                # Others wait for the same start; one that is given up goes on.
                await asyncio.wait_for(asyncio.shield(self._starting), self._ack_s)
            except asyncio.TimeoutError:
                raise BrokerAway(f"no connection within {self._ack_s:g} s") from None
        if self.following is None:
            raise BrokerAway("not started")
        return self.following

    async def _start(self) -> None:
        self._partitions = await self._broker.start()
        self.following = Following(self._partitions, self._seal)
        self._reading = asyncio.create_task(self._read(self.following))

    async def _read(self, following: Following) -> None:
        while True:
            try:
                fetched = await self._broker.fetch()
            except BrokerAway as error:
                _log.warning("the broker gives no records (%s); trying again", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            for topic, raw in fetched:
                following.take(topic, raw)
