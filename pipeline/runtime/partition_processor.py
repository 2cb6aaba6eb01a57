"""One agent on one partition number: the whole path of a batch, top to bottom.

The five steps, the same numbers in architecture section 4:
1. Read        take what was fetched; drop what lies below the checkpoint's offsets, and copies; dead letters and
               re-keyed records are produced and acknowledged here.
2. Process     run the agent over the batch: (state, record) -> (new state, outputs). Pure.
3. Checkpoint  append ONE record batch to the changelog: new states, tombstones, and the checkpoint with offsets,
               watermarks and outbox.
4. Produce     send the outbox in order; its last record is the batch's journal record.
5. Commit      report the offsets to the group; late or never does no harm: the checkpoint's offsets count.

After a crash before 3 there is nothing but dead letters and re-keyed records, which come again under the same id.
After 3 there is the checkpoint: the successor produces its outbox again, byte for byte, before anything else. After 4
there is nothing to do. A processor awaits nothing but its port, so deterministic simulation can stop it before every
single effect.

While a batch goes through 3 to 5, the next one may go through 1 and 2 (where enough waits): on the states and the
checkpoint that the first one leaves, and nothing of it leaves the processor until the first one is done.
"""

from collections.abc import Callable, MutableMapping, Sequence

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine, Tally
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, EPOCH_KEY, Recovered, state_key
from endocrine.pipeline.core.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from endocrine.pipeline.core.journal import journal_record
from endocrine.pipeline.core.prepared_batch import Items, PreparedBatch
from endocrine.pipeline.core.records import OutputRecord, SourceRecord
from endocrine.pipeline.runtime.adaptive_batch_size import AdaptiveBatchSize
from endocrine.pipeline.runtime.broker_port import BrokerPort
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.merge_buffer import MergeBuffer
from endocrine.pipeline.runtime.state_stores import RocksStore

AHEAD_RECORDS = 200
"""How many records must wait for a batch to be thought while the one before is written. Were a few enough, the next
ones would have to wait for two writes instead of one."""


class PartitionProcessor:
    """Owner of one (agent, partition).

    policy: called once per batch, says which policy is in force. max_records: records thought at once, at most.
    max_bytes: the largest batch the changelog takes. ahead: how many records must wait for thinking to run ahead.
    pace: makes batches smaller where a record costs much. on_batch: told the agent's name and each finished batch, for
    metrics.
    """

    def __init__(
        self,
        engine: Engine,
        partition: int,
        broker: BrokerPort,
        store: MutableMapping[bytes, bytes],
        policy: Callable[[], Policy],
        *,
        max_records: int,
        max_bytes: int,
        ahead: int = AHEAD_RECORDS,
        pace: AdaptiveBatchSize | None = None,
        on_batch: Callable[[str, PreparedBatch], None] | None = None,
    ) -> None:
        self.engine = engine
        self.partition = partition
        self.checkpoint = Checkpoint()
        self.epoch = -1
        self.critical = False
        """Between the start of Checkpoint and the end of Produce: a revocation waits for the end of it."""
        self.tally = Tally()
        self._port = broker
        self._store = store
        self._policy = policy
        self._max_records = max_records
        self._pace = pace
        self._max_bytes = max_bytes
        self._ahead = ahead
        self._written: PreparedBatch | None = None
        """The batch that is on its way from 3 to 5."""
        self._ready: PreparedBatch | None = None
        """The batch after it, thought already."""
        self._left: list[tuple[str, SourceRecord]] = []
        """What was read with it and did not fit into it."""
        self._on_batch = on_batch
        self._inbox = MergeBuffer(engine.agent.sources)
        self._expected = 0
        """The changelog offset that our next record must get if nobody else wrote."""

    @property
    def name(self) -> str:
        """`agent/partition`."""
        return f"{self.engine.agent.name}/{self.partition}"

    # ---- takeover ----

    async def recover(self) -> None:
        """Claim, recover, mend what a zombie overwrote, speak the last outbox again, and go to the head's offsets."""
        self.critical = True  # a claim in flight may land after a successor's and fence it: let it land
        self.epoch = await self._port.epoch()
        self.critical = False
        recovered = Recovered(self._store)
        async for entries in self._port.changelog(self._resume(recovered), self.epoch + 1):
            recovered.apply(entries)
            if entries:
                self._settle(entries[-1].offset + 1, recovered.epoch, recovered.void)
        if recovered.epoch != self.epoch:  # compacted away, which only a newer claim can do
            raise Fenced(f"{self.name}: the changelog shows claim {recovered.epoch}, ours at {self.epoch} is gone")
        self._expected = self.epoch + 1
        self._written = self._ready = None
        self._left = []
        remembered = self._store.get(CHECKPOINT_KEY)
        try:
            self.checkpoint = Checkpoint() if remembered is None else decode_checkpoint(remembered)
        except ValueError as error:
            raise Fatal(f"{self.name}: {error}") from None
        await self._mend(recovered.void)
        await self._port.produce(self.checkpoint.outbox, self.checkpoint.common)
        ends = await self._port.ends(self.engine.agent.sources)
        for topic, offset in self.checkpoint.front.items():
            if topic in ends and offset > ends[topic]:
                raise Fatal(
                    f"{self.name}: the head is at offset {offset} of {topic}, which ends at {ends[topic]}: it was "
                    "re-created or its broker lost its tail. Restore it, or start with a new prefix."
                )
        self._inbox.clear(self.checkpoint.front)
        await self._port.seek(self.checkpoint.front)

    def _resume(self, recovered: Recovered) -> int:
        """From which changelog offset to recover: a durable store that is not ahead of the changelog saves the rest."""
        mark = self._store.begin() if isinstance(self._store, RocksStore) else None
        if mark is None or mark.position > self.epoch:
            self._store.clear()
            return 0
        recovered.epoch, recovered.void = mark.epoch, set(mark.void)
        return mark.position

    def _settle(self, position: int, epoch: int, void: set[bytes]) -> None:
        """What a durable store was given becomes its own: the changelog below `position` is in it."""
        if isinstance(self._store, RocksStore):
            self._store.flush(position, epoch, void)

    # ---- the loop ----

    async def run(self) -> None:
        """Take over, then batch after batch until cancelled. Raises Fenced or Fatal."""
        await self.recover()
        while True:
            await self.step()

    async def step(self) -> bool:
        """One batch, or one look at the changelog's end when there is nothing to read. True if a batch was made."""
        prepared, self._ready = self._ready or await self._think(), None
        if prepared is None:
            await self._look(await self._port.changelog_end())
            return False
        self._written = prepared
        if self._left or len(self._inbox) + self._port.waiting() >= self._ahead:
            self._ready = await self._port.run_concurrently(self._write(prepared), self._think())
        else:
            await self._write(prepared)
        return True

    async def _think(self) -> PreparedBatch | None:
        """1 Read and 2 Process, after all batches that were processed before."""
        records = self._left or await self._read()
        if not records:
            return None
        began = 0.0 if self._pace is None else self._pace.clock()
        prepared = self._fit(records, self._latest.batch + 1, self._policy())
        if self._pace is not None:
            self._pace.took(prepared.read, self._pace.clock() - began)
        self._left = records[prepared.read :]
        return prepared

    async def _write(self, prepared: PreparedBatch) -> None:
        """Everything of a batch that leaves the unit."""
        await self._port.produce(prepared.aside, ())
        self.critical = True
        base = await self._port.write_checkpoint(prepared.items, self.epoch)  # 3 Checkpoint
        self._keep(prepared.items)
        self.checkpoint = prepared.checkpoint
        await self._after_write(base, prepared.items)
        await self._port.produce(prepared.checkpoint.outbox, prepared.checkpoint.common)  # 4 Produce
        self.critical = False
        await self._port.commit(prepared.checkpoint.front)  # 5 Commit
        self._written = None
        self._count(prepared.tally)
        if self._on_batch is not None:
            self._on_batch(self.engine.agent.name, prepared)

    @property
    def _latest(self) -> Checkpoint:
        """The head as the last thought batch leaves it."""
        return self.checkpoint if self._written is None else self._written.checkpoint

    async def _read(self) -> list[tuple[str, SourceRecord]]:
        """The next records in reading order, none below the head's offsets; empty when nothing came."""
        buffer = self._inbox
        most = self._max_records if self._pace is None else self._pace.limit
        if len(buffer) < most:  # not whenever a topic is quiet: of one that is flooded, far too much would wait here
            for run in await self._port.fetch(wait=not buffer):
                buffer.add(*run)
        while buffer and (quiet := buffer.quiet()):
            ends = await self._port.ends(quiet)
            behind = [topic for topic in quiet if ends[topic] > buffer.following[topic]]
            came = await self._port.fetch(wait=False) if behind else ()
            for run in came:
                buffer.add(*run)
            if not came:
                break  # nothing more, or the broker is slow: any order is right, as long as the journal has it
        front = self._latest.front
        taken = buffer.take(most)
        if taken and len(self.engine.agent.sources) == 1 and taken[0][1].offset >= front.get(taken[0][0], 0):
            return taken  # one topic in offset order: none of the others lies below either
        return [(topic, raw) for topic, raw in taken if raw.offset >= front.get(topic, 0)]

    def _fit(self, records: Sequence[tuple[str, SourceRecord]], number: int, policy: Policy) -> PreparedBatch:
        """Process as many of the records as fit into one batch of the changelog."""
        refuse = None
        while True:
            processed = self.engine.process(
                records, policy, self._stored, self._latest.marks, partition=self.partition, refuse=refuse
            )
            common = self.engine.common_headers(policy, self.partition, number)
            outbox = [*processed.outputs, self._journal(records, number, policy, refuse, processed.forged)]
            checkpoint = Checkpoint(self.epoch, number, self._front_after(records), processed.marks, common, outbox)
            items: Items = [(state_key(key), state) for key, state in processed.states.items()]
            items.append((CHECKPOINT_KEY, encode_checkpoint(checkpoint)))
            size = sum(len(key) + len(value or b"") + 64 for key, value in items)
            if size <= self._max_bytes - 4096 and processed.largest <= self.engine.sizes.topic:
                return PreparedBatch(
                    len(records), processed.aside, checkpoint, items, processed.states, processed.tally
                )
            if len(records) > 1:
                records = records[: len(records) // 2]
            elif refuse is None:
                refuse = (
                    f"what it causes takes {size} bytes, its largest record {processed.largest}; a changelog batch "
                    f"takes {self._max_bytes}, a topic {self.engine.sizes.topic}"
                )
            else:
                raise Fatal(
                    f"{self.name}: batch {number} takes {size} bytes with nothing thought; raise "
                    f"changelog_message_bytes above {self._max_bytes}"
                )

    def _journal(
        self,
        records: Sequence[tuple[str, SourceRecord]],
        number: int,
        policy: Policy,
        refused: str | None,
        forged: Sequence[tuple[str, int]],
    ) -> OutputRecord:
        return journal_record(
            self.engine.agent.name,
            self.partition,
            number,
            records,
            previous=self._latest.journal_digest,
            policy=policy.digest,
            version=self.engine.version,
            epoch=self.epoch,
            seals=self.engine.seals,
            refused=refused,
            forged=forged,
        )

    def _stored(self, key: str) -> bytes | None:
        if self._written is not None and key in self._written.states:
            return self._written.states[key]
        return self._store.get(state_key(key))

    def _front_after(self, records: Sequence[tuple[str, SourceRecord]]) -> dict[str, int]:
        front = dict(self._latest.front)
        for topic, raw in records:
            front[topic] = raw.offset + 1
        return front

    def _keep(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        for key, value in items:
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value

    def _count(self, tally: Tally) -> None:
        for name in Tally.__slots__:
            setattr(self.tally, name, getattr(self.tally, name) + getattr(tally, name))

    # ---- zombies ----

    async def _after_write(self, base: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Our batch stands at `base`. If that does not directly follow, see who wrote and mend."""
        await self._mend(await self._hidden(base, items))

    async def _look(self, end: int) -> None:
        """An idle check of the changelog's end."""
        hidden = await self._foreign(self._expected, end)
        self._expected = max(self._expected, end)
        await self._mend(hidden)

    async def _hidden(self, base: int, items: Sequence[tuple[bytes, bytes | None]]) -> set[bytes]:
        """Keys that others wrote last, now that our batch stands at `base`. Raises Fenced on a newer claim."""
        if base == self._expected:
            self._expected = base + len(items)
            self._settle(self._expected, self.epoch, set())
            return set()
        try:
            hidden = await self._foreign(self._expected, base) - {key for key, _ in items}
            self._expected = base + len(items)
            # A claim that stood in the gap may have been compacted away, which only a newer claim can do, and the
            # newest never is: so read on until nothing more has come.
            while (end := await self._port.changelog_end()) > self._expected:
                hidden |= await self._foreign(self._expected, end)
                self._expected = end
        except Retry as error:  # going on without speaking would lose what was remembered
            raise Fatal(f"{self.name}: remembered, but cannot see who else wrote: {error}") from error
        self._settle(self._expected, self.epoch, hidden)
        return hidden

    async def _foreign(self, start: int, end: int) -> set[bytes]:
        """Keys that older owners wrote at start <= offset < end. Raises Fenced on a newer claim."""
        hidden: set[bytes] = set()
        if start >= end:
            return hidden
        async for entries in self._port.changelog(start, end):
            for entry in entries:
                if entry.key == EPOCH_KEY:
                    raise Fenced(f"{self.name}: claimed anew at {entry.offset}; ours is {self.epoch}", entry.value)
                if entry.epoch < self.epoch:
                    hidden.add(entry.key)
        return hidden

    async def _mend(self, keys: set[bytes]) -> None:
        """Write again what a zombie's stale records hide, and the head with it."""
        while keys:
            items = [(key, self._store.get(key)) for key in sorted(keys)]
            base = await self._port.write_checkpoint(items, self.epoch)
            keys = await self._hidden(base, items)
