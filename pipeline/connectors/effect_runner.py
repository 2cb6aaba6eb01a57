"""The effect runner: requests from one topic, each run once, answers to another (architecture, section 6).

For who writes a connector: implement `Effect` and hand it to `EffectRunner`:

    runner = EffectRunner(settings, MyEffect(), limits=Limits(concurrency=32))
    await runner.run()          # until runner.stop(); `process.serve` does so under SIGINT and SIGTERM

An effect says which topic its requests lie on and which its answers go to, how each names the request (`request_id`,
`answer_id`: the same text), whether it may run twice (`repeatable`), and runs one (`run`). What `run` returns is a list
of `EffectRecord(topic, value)`: records of any topics, the answer LAST. They go, in that order, to the request's own
partition under its identity, with `ce_id` = `<connector>/<request id>` (and `/<ordinal>` for those before the
answer). A request must carry all that `run` needs. `run` should answer failures of the world itself (status error,
timeout); what it
raises all the same becomes `failed(request, error)`: an answer that says so. Times: an answer's `ts` is event time,
`request.ts_now()`: the request's own `ts` plus what went by since the broker took it.

What one request goes through, the numbers as in the code:
1. **Take**: its offset is noted. A request whose id has an answer on record (read back at a partition's first request,
   or given by us) is finished at once; so is one that is not ours (`request_id` is None).
2. **Mark** (only what is not repeatable): a start mark is written to `effect-starts` and acknowledged. A mark of
   another for the same id, found at read-back or between our last mark and this one, comes first: then it is not run
   again but answered by `failed(request, INTERRUPTED)`. Among several connectors the log decides whose mark was first.
3. **Run**, within the bound on concurrency.
4. **Answer**: sent, acknowledged by the broker.
5. **Commit**: the group's offset follows the lowest request that is not finished; so it may lag, never lead.
What cannot be written as a record of its topic, or is longer than `max_record_bytes`, is answered by `failed` as well.
Killed after 2, the effect has a mark and no answer: `INTERRUPTED`. Killed between 4 and 5: step 1 finds the answer.
Killed before 4, a repeatable effect runs again. A partition that is revoked: what runs on it gets `drain_s` seconds to
finish, then is cancelled, before the revocation returns; an answer that was on its way by then is waited for before the
partition, come back, is read back. A zombie that lost its partition without noticing may answer once more a repeatable
effect: the answer has the same id, and the agents take the first only.
"""

import asyncio
import hashlib
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from endocrine.pipeline.connectors.commit_position import CommitPosition
from endocrine.pipeline.connectors.contract import INTERRUPTED, Effect, EffectRecord, Limits, Request
from endocrine.pipeline.connectors.readback import EffectLedger, StartMarks, read_back
from endocrine.pipeline.connectors.spans import effect_span
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.cloud_events import cloud_event
from endocrine.pipeline.core.records import SEAL, TRACEPARENT, SourceRecord, is_traceparent
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.core.watermarks import origin_of
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.content_keys import ContentKeys
from endocrine.pipeline.kafka.fetching import covered
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.logs import fault
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.health import Health, Part, polling_health
from endocrine.pipeline.views.metrics.registry import Metrics

__all__ = ["INTERRUPTED", "Effect", "EffectRecord", "EffectRunner", "Limits", "Request"]
log = structlog.get_logger(__name__)
_ID_CHARS = 240
"""Ids have at most 256 characters (endocrine.schemas.base); the rest is for ordinals."""
_POLL_MS = 1000
"""How long a look for requests lasts that finds none."""
_COMMIT_S = 1.0
"""Between commits. What is committed late is read back by whoever comes next, so it costs nothing but that."""


class EffectRunner(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs an effect for the partitions that its group gives it.

    seals: by default those of the settings' key file; a request on a topic that only we write counts with a valid seal
    only, and what is answered is sealed. After `run` returns, `failure` holds what made it stop on its own, or None.
    Raises SealKeyError where there is no usable key.
    """

    def __init__(
        self,
        settings: Settings,
        effect: Effect,
        *,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        seals: Seals | None = None,
    ) -> None:
        self.settings = settings
        self._seals = load_seals(settings) if seals is None else seals
        self.effect = effect
        self.limits = limits or Limits()
        self.metrics = metrics
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._keys: ContentKeys | None = None
        """Of content, once it runs; None where all of it is in clear."""
        self.failure: BaseException | None = None
        self.ready = asyncio.Event()
        """Set when partitions were assigned for the first time."""
        self._stop = asyncio.Event()
        self._held: dict[int, _PartitionWork] = {}
        self._polled = time.monotonic()
        self._room = asyncio.Semaphore(self.limits.concurrency)
        self._requests = settings.prefix + effect.requests
        self._committed: dict[int, int] = {}
        self._flying: dict[int, set[asyncio.Future[Any]]] = {}
        """Records handed to the producer and not acknowledged, by partition."""
        if metrics is not None:
            metrics.roles[effect.name] = self.health

    def health(self) -> Health:
        """Return the health as it is now. May be called from another thread."""
        held = list(self._held.values())
        waiting = sum(len(one.arrived) for one in held)
        running = sum(len(one.tasks) for one in held)
        return polling_health(
            self._polled,
            self.settings,
            ready=self.ready.is_set(),
            requests=Part("ok", {"waiting": waiting, "running": running}),
        )

    def stop(self) -> None:
        """Ask it to stop; `run` returns when it has."""
        self._stop.set()

    async def run(self) -> None:
        """Run until asked to stop, or until the broker makes going on impossible."""
        settings, name = self.settings, self.effect.name
        self._consumer = clients.consumer(
            settings,
            client_id=f"{name}-{self.id}",
            group_id=f"{settings.group}.{name}",
            group_instance_id=f"{settings.instance}.{name}" if settings.instance else None,
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 4),
            rebalance_timeout_ms=int((settings.session_timeout_s + 2 * self.limits.drain_s) * 1000),
        )
        self._keys = clients.content_keys(settings)
        self._producer = connection.producer(
            settings,
            client_id=f"{name}-{self.id}",
            acks="all",
            enable_idempotence=True,
            max_request_size=settings.topic_message_bytes,
        )
        self._consumer.subscribe([self._requests], listener=self)
        asked = asyncio.create_task(self._stop.wait())
        try:
            # Starting waits for the group's partitions, and so for other members: it may be stopped too.
            await self._until(asked, [asyncio.create_task(self._start())])
            if not asked.done():
                await self._until(asked, [asyncio.create_task(self._poll()), asyncio.create_task(self._commits())])
        except Exception as error:
            self._fail(error)
        finally:
            asked.cancel()
            await self._release(list(self._held))
            with suppress(Exception):
                await asyncio.wait_for(self._consumer.stop(), 10)
            with suppress(Exception):
                await asyncio.wait_for(self._producer.stop(), 10)
            with suppress(Exception):
                if self._keys is not None:
                    await asyncio.wait_for(self._keys.stop(), 10)

    async def _start(self) -> None:
        await self._producer.start()
        await self._consumer.start()

    async def _until(self, asked: "asyncio.Task[Any]", works: "list[asyncio.Task[None]]") -> None:
        """Until one of the works has ended or it is asked to stop; raises what made one fail."""
        await asyncio.wait([asked, *works], return_when=asyncio.FIRST_COMPLETED)
        await cancelled(works)
        for task in works:
            if not task.cancelled():
                task.result()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            log.error("the connector must stop", connector=self.effect.name, error=f"{type(error).__name__}: {error}")
            self.failure = error
        self._stop.set()

    # ---- partitions come and go ----

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin these partitions. Nothing is read back before a partition's first request says since when."""
        log.info("assigned", connector=self.effect.name, partitions=sorted(place.partition for place in assigned))
        self.ready.set()

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Settle what runs (finish or cancel), commit, forget."""
        await self._release([place.partition for place in revoked])

    async def _release(self, partitions: Sequence[int]) -> None:
        held = [self._held[number] for number in partitions if number in self._held]
        for one in held:
            one.leaving = True
        await cancelled([one.reading for one in held if one.reading is not None])
        tasks = [task for one in held for task in one.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.limits.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with suppress(KafkaError):
            await asyncio.wait_for(self._commit(), 5)
        for number in partitions:
            self._held.pop(number, None)
            self._committed.pop(number, None)

    # ---- 1 Take ----

    async def _poll(self) -> None:
        while True:
            self._polled = time.monotonic()
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for place, records in fetched.items():
                # What is returned belongs to the assignment in force; a revocation from here on closes `held`.
                held = self._held.setdefault(place.partition, _PartitionWork(place.partition))
                held.arrived.extend(records)
                held.reached = covered(records)[1]
            for held in self._held.values():
                self._take(held)
            self._press()

    def _take(self, held: "_PartitionWork") -> None:
        if held.leaving:
            return
        if held.arrived and held.known is None:
            if held.reading is None:  # meanwhile the other partitions go on
                held.reading = asyncio.create_task(self._know(held, held.arrived[0].timestamp))
            return
        while held.arrived and held.position.waiting < self.limits.waiting:
            raw = held.arrived.pop(0)
            if held.position.take(raw.offset):
                task = asyncio.create_task(self._one(held, raw))
                held.tasks.add(task)
                task.add_done_callback(held.tasks.discard)
        if not held.arrived:
            held.position.reach(held.reached)

    async def _know(self, held: "_PartitionWork", since_ms: int) -> None:
        """Read back what is on record of a partition, then take what has arrived of it."""
        try:
            # A partition that was ours before: what was on its way when its effect was cancelled is on record first.
            if flying := self._flying.get(held.partition):
                await asyncio.wait(flying)
            held.known = await read_back(self.settings, self.effect, held.partition, since_ms, self._seals)
        except Exception as error:
            self._fail(error)
        else:
            self._take(held)
            self._press()

    def _press(self) -> None:
        """Pause what is full; what was fetched meanwhile waits in `arrived`."""
        ours = {place.partition for place in self._consumer.assignment()}
        for number, held in self._held.items():
            if number in ours:
                place = TopicPartition(self._requests, number)
                (self._consumer.pause if held.arrived else self._consumer.resume)(place)

    # ---- one request ----

    async def _one(self, held: "_PartitionWork", raw: SourceRecord) -> None:
        try:
            await self._effect(held, raw)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the broker does not take an answer, or an effect's own bookkeeping is broken
            self._fail(error)
        else:
            held.position.finish(raw.offset)
            if held.arrived:  # there was no room for these
                self._take(held)
                self._press()

    async def _effect(self, held: "_PartitionWork", raw: SourceRecord) -> None:
        request = _read(raw, self.effect.requests, self._seals)
        effect_id = self.effect.request_id(request.value) if request else None
        assert held.known is not None
        if request is None or effect_id is None or not held.known.claim(effect_id):
            return
        try:
            request = replace(request, emit=partial(self._emit, request, effect_id))
            group = f"{self.settings.group}.{self.effect.name}"
            async with self._room:
                with effect_span(self.effect.name, self._requests, request, group) as answered:
                    records = self._writable(request, await self._outcome(held, request, effect_id))
                    answered(records)
            answer_id = _short(f"{self.effect.name}/{effect_id}")
            for ordinal, record in enumerate(records, 1):  # 4
                await self._send(request, record, answer_id if ordinal == len(records) else f"{answer_id}/{ordinal}")
        except BaseException:
            held.known.release(effect_id)
            raise

    async def _emit(self, request: Request, effect_id: str, record: EffectRecord, ending: str) -> None:
        """Send a record that comes before the answer, while the effect runs. Raises ValueError if it is unwritable."""
        if (why := _unwritable([record], self.settings.max_record_bytes)) is not None:
            raise ValueError(why)
        await self._send(request, record, f"{_short(f'{self.effect.name}/{effect_id}')}/{ending}")

    async def _outcome(self, held: "_PartitionWork", request: Request, effect_id: str) -> Sequence[EffectRecord]:
        assert held.known is not None
        if not self.effect.repeatable(request.value):  # 2
            async with held.marking:
                first = await self._mark(held.known.marks, request, effect_id)
            if not first:
                log.warning("interrupted", connector=self.effect.name, effect=effect_id)
                return self.effect.failed(request, INTERRUPTED)
        try:
            return await self.effect.run(request)  # 3
        except Exception as error:
            log.warning("failed", connector=self.effect.name, effect=effect_id, error=fault(error))
            return self.effect.failed(request, f"internal_error: {type(error).__name__}")

    def _writable(self, request: Request, records: Sequence[EffectRecord]) -> Sequence[EffectRecord]:
        """The records, if each can be written; else the answer that says why not. Nothing where even that cannot be."""
        most = self.settings.max_record_bytes
        if (why := _unwritable(records, most)) is None:
            return records
        log.error("an answer cannot be written", connector=self.effect.name, reason=why)
        instead = self.effect.failed(request, why)
        if (again := _unwritable(instead, most)) is not None:
            log.error("nor can the answer that says so", connector=self.effect.name, reason=again)
            return ()
        return instead

    async def _mark(self, marks: StartMarks, request: Request, effect_id: str) -> bool:
        """Write the start mark; whether it is the first for this id."""
        if effect_id in marks.others:
            return False
        mark = {
            "effect_id": effect_id,
            "connector": self.effect.name,
            "identity": request.identity,
            "by": self.id,
            "ts": request.ts_now(),
        }
        offset = await self._send(request, EffectRecord("effect-starts", mark), f"{self.effect.name}/{effect_id}/start")
        await marks.follow(offset, by=self.id)
        return effect_id not in marks.others

    async def _send(self, request: Request, record: EffectRecord, record_id: str) -> int:
        """Send one record and wait until the broker has it; its offset."""
        topic = CATALOGUE[record.topic]
        written: Mapping[str, Any] = record.value
        if self._keys is not None:
            written = await self._keys.closed(record.topic, written, self._producer)
        key, value = topic.key_of(request.identity, record.value).encode(), orjson.dumps(written)
        headers = cloud_event(
            record_id.encode(),
            f"endocrine/{self.effect.name}",
            topic.ce_type,
            request.identity.encode(),
            float(record.value["ts"]),
        )
        if request.traceparent:
            headers.append((TRACEPARENT, request.traceparent))
        seal = self._seals.seal(record.topic, request.partition, key, value, record_id.encode())
        headers.append((SEAL, seal))
        sending: asyncio.Future[Any] = await self._producer.send(
            self.settings.prefix + record.topic,
            value,
            key=key,
            partition=request.partition,
            headers=headers,
        )
        self._flying.setdefault(request.partition, set()).add(sending)
        sending.add_done_callback(lambda done: self._landed(request.partition, done))
        sent = await asyncio.shield(sending)  # cancelled or not, the producer goes on with it
        if self.metrics is not None:
            self.metrics.answer(record.topic, record.value)
        return int(sent.offset)

    def _landed(self, partition: int, sending: "asyncio.Future[Any]") -> None:
        self._flying[partition].discard(sending)
        if not sending.cancelled():
            sending.exception()  # whoever still waits for it has it raised

    # ---- 5 Commit ----

    async def _commits(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_S)
            try:
                await self._commit()
            except KafkaError as error:  # a rebalance is under way: who comes after us reads back
                log.info("not committed", connector=self.effect.name, reason=repr(error))

    async def _commit(self) -> None:
        ours = {place.partition for place in self._consumer.assignment()}
        offsets = {number: held.position.next_offset for number, held in self._held.items() if number in ours}
        news = {
            number: next_offset
            for number, next_offset in offsets.items()
            if next_offset is not None and self._committed.get(number) != next_offset
        }
        if news:
            await self._consumer.commit(
                {TopicPartition(self._requests, number): next_offset for number, next_offset in news.items()}
            )
            self._committed.update(news)


class _PartitionWork:
    """A partition while it is ours."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.position = CommitPosition()
        self.known: EffectLedger | None = None
        """What is on record; None until it was read back."""
        self.reading: asyncio.Task[None] | None = None
        """What finds that out, from the first request on."""
        self.leaving = False
        """Whether it is being given up: nothing more is taken."""
        self.arrived: list[SourceRecord] = []
        self.reached = 0
        """The offset up to which all has arrived."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.marking = asyncio.Lock()


def _kinds(error: ValueError) -> str:
    """What is wrong with a value, in kinds of mistakes: names of fields and values are its producer's text."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    return ", ".join(sorted({one["type"] for one in error.errors(include_input=False, include_url=False)}))


def _read(raw: SourceRecord, topic: str, seals: Seals) -> Request | None:
    """The request of a record; None, logged, when it is not one, or not ours where only we may ask."""
    headers = dict(raw.headers)
    if CATALOGUE[topic].ours and not seals.valid(topic, raw, headers):
        log.warning("unsealed", topic=topic, partition=raw.partition, offset=raw.offset)
        return None
    try:
        value = orjson.loads(raw.value or b"null")
        CATALOGUE[topic].validate(value)
    except ValueError as error:
        log.warning("not a request", topic=topic, partition=raw.partition, offset=raw.offset, error=_kinds(error))
        return None
    traceparent = headers.get(TRACEPARENT)
    origin = origin_of(headers) if CATALOGUE[topic].ours else None
    return Request(
        value,
        value[CATALOGUE[topic].identity_field],
        raw.partition,
        raw.offset,
        max(0.0, time.time() - raw.timestamp / 1000),
        traceparent=traceparent if traceparent is not None and is_traceparent(traceparent) else None,
        origin=origin,
    )


def _unwritable(records: Sequence[EffectRecord], most_bytes: int) -> str | None:
    """Why one of these records cannot be written; None where all can."""
    for record in records:
        try:
            size = len(orjson.dumps(record.value))
        except TypeError:  # a lone surrogate, a number of more than 64 bits, too many levels
            return f"internal_error: the {record.topic} record cannot be written as JSON"
        if size > most_bytes:
            return f"too_large: the {record.topic} record has {size} bytes; expected at most {most_bytes}"
    return None


def _short(record_id: str) -> str:
    """An id as long as ids may be; a longer one by its digest."""
    if len(record_id) <= _ID_CHARS:
        return record_id
    return f"{record_id[:100]}/{hashlib.sha256(record_id.encode()).hexdigest()}"
