"""One agent on one partition number: the whole path of a batch, top to bottom.

The five steps, the same numbers in architecture section 4:
1. Read        take what was fetched; drop what lies below the checkpoint's offsets, and copies; dead letters and
               re-keyed records are produced and acknowledged here.
2. Process     run the agent over the batch: (state, record) -> (new state, outputs). Pure.
3. Checkpoint  append ONE record batch to the changelog: new states, tombstones, the outbox, and the checkpoint with
               offsets, watermarks, and up to which batch all is produced.
4. Produce     send the outbox in order; its last record is the batch's journal record.
5. Commit      report the offsets to the group; late or never does no harm: the checkpoint's offsets count.

After a crash before 3 there is nothing but dead letters and re-keyed records, which come again under the same id.
After 3 there are checkpoint and outbox: the successor produces it again, byte for byte, before anything else. After 4
there is nothing to do. A processor awaits nothing but its port, so deterministic simulation can stop it before every
single effect.

Several batches are in flight:
- While a batch goes through 4, the next ones may go through 1 to 3: its outbox is in the changelog under a key of its
  own until it is produced, and the next batch's checkpoint says that it may not be. So batch n is checkpointed only
  when batch n - OUTBOX_SLOTS is produced, whose key it takes.
- While a batch goes through 3, the next one may go through 1 and 2 (where enough waits): on the states and the
  checkpoint that the first one leaves, and nothing of it leaves the processor until that checkpoint is written and
  nobody else is seen to have written.
- Steps 3 of several batches never overlap, nor do steps 4: each batch is produced whole before the next one.
The executable model in tests/support/commit_model holds the proof that this is safe, and what is not.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine, Processed, Tally
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, outbox_key, state_key
from endocrine.pipeline.core.checkpoint import OUTBOX_SLOTS, Checkpoint, decode_checkpoint, encode_checkpoint
from endocrine.pipeline.core.content_keys import KeyUnknown
from endocrine.pipeline.core.decoded_states import DecodedStates, StateBudget
from endocrine.pipeline.core.formats import UnknownFormat
from endocrine.pipeline.core.journal import journal_record
from endocrine.pipeline.core.outbox import Outbox, compress_outbox, outboxes_to_produce, pack_outbox
from endocrine.pipeline.core.prepared_batch import Items, PreparedBatch
from endocrine.pipeline.core.records import OutputRecord, SourceRecord
from endocrine.pipeline.runtime.adaptive_batch_size import AdaptiveBatchSize
from endocrine.pipeline.runtime.broker_port import Background, BrokerPort
from endocrine.pipeline.runtime.changelog_owner import ChangelogOwner
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.merge_buffer import MergeBuffer
from endocrine.pipeline.runtime.state_stores import StateStore

AHEAD_RECORDS = 200
"""How many records must wait for a batch to be processed while the one before is written. Were a few enough, the next
ones would have to wait for two writes instead of one."""


class PartitionProcessor:
    """Owner of one (agent, partition).

    policy: called once per batch, gives the policy in force. max_records: records processed at once, at most.
    max_bytes: the largest batch the changelog takes. ahead: how many records must wait for processing to run ahead.
    batch_size: makes batches smaller where a record costs much. kept: decoded states of a budget that
    processors share; without it, of one of its own. on_batch: called with the agent's name and each finished batch, for
    metrics.
    """

    owner = ChangelogOwner
    """Class of the part that recovers and fences; tests put weaker ones in its place."""
    in_flight = OUTBOX_SLOTS
    """Batches that may be checkpointed and not yet produced."""

    def __init__(
        self,
        engine: Engine,
        partition: int,
        broker: BrokerPort,
        store: StateStore,
        policy: Callable[[], Policy],
        *,
        max_records: int,
        max_bytes: int,
        ahead: int = AHEAD_RECORDS,
        batch_size: AdaptiveBatchSize | None = None,
        kept: DecodedStates | None = None,
        on_batch: Callable[[str, PreparedBatch], None] | None = None,
    ) -> None:
        self.engine = engine
        self.partition = partition
        self.checkpoint = Checkpoint()
        self.changelog = self.owner(self.name, broker, store)
        self.stopping = False
        """Set when no further batch is to be checkpointed."""
        self.tally = Tally()
        self._port = broker
        self._policy = policy
        self._max_records = max_records
        self._batch_size = batch_size
        self._kept = StateBudget().member() if kept is None else kept
        self._others_s = 0.0
        """Processor time that others of this thread took while a batch was processed."""
        self._max_bytes = max_bytes
        self._ahead = ahead
        self._writing = False
        """Between the start of Checkpoint and what follows from it."""
        self._written: PreparedBatch | None = None
        """The batch that is on its way through 3."""
        self._unproduced: deque[PreparedBatch] = deque()
        """Batches that are checkpointed and on their way through 4 and 5, one after the other."""
        self._producing: Background | None = None
        """What takes them there."""
        self._ready: PreparedBatch | None = None
        """The batch after it, processed already."""
        self._left: list[tuple[str, SourceRecord]] = []
        """What was read with it and did not fit into it."""
        self._on_batch = on_batch
        unordered = [topic for topic in engine.agent.sources if engine.catalogue[topic].unordered]
        self._merge_buffer = MergeBuffer(engine.agent.sources, unordered)

    @property
    def name(self) -> str:
        """`agent/partition`."""
        return f"{self.engine.agent.name}/{self.partition}"

    @property
    def critical(self) -> bool:
        """Whether a batch is between the start of Checkpoint and the end of Produce: a revocation waits for the end."""
        return self._writing or bool(self._unproduced)

    # ---- recovery ----

    async def recover(self) -> None:
        """Begin an epoch, recover the states, produce again what may not have been, and go to the checkpoint's
        offsets."""
        changelog = self.changelog
        await self._settle()
        self._writing = True  # an epoch record in flight may land after a successor's and fence it: let it land
        try:
            await changelog.begin_epoch()
        finally:
            self._writing = False
        hidden = await changelog.recover()
        self._written = self._ready = None
        self._left = []
        self._kept.clear()
        encoded = changelog.get(CHECKPOINT_KEY)
        try:
            self.checkpoint = Checkpoint() if encoded is None else decode_checkpoint(encoded)
            outboxes = self._outboxes()
        except ValueError as error:
            raise self._unreadable(error) from None
        await changelog.repair(hidden)
        for outbox in outboxes:
            await self._port.produce(outbox.records, outbox.common)
        ends = await self._port.ends(self.engine.agent.sources)
        for topic, offset in self.checkpoint.next_offsets.items():
            if topic in ends and offset > ends[topic]:
                raise Fatal(
                    f"{self.name}: the checkpoint is at offset {offset} of {topic}, which ends at {ends[topic]}: it "
                    "was re-created or its broker lost its tail. Restore it, or start with a new prefix."
                )
        self._merge_buffer.clear(self.checkpoint.next_offsets)
        await self._port.seek(self.checkpoint.next_offsets)

    def _unreadable(self, error: ValueError) -> Fatal:
        """What of its changelog this build does not read; another build may, so nothing of it is touched."""
        name = self.engine.agent.name
        return Fatal(f"{self.name}: changelog.{name}, partition {self.partition}, {error} ({self.engine.version} runs)")

    def _outboxes(self) -> list[Outbox]:
        """The outboxes to be produced again, in order. Raises ValueError when the changelog lacks one."""
        return outboxes_to_produce(self.checkpoint, self.changelog.get)

    # ---- the loop ----

    async def run(self) -> None:
        """Recover, then process batch after batch until cancelled. Raises Fenced or Fatal."""
        await self.recover()
        while True:
            await self.step()

    async def step(self) -> bool:
        """Process and checkpoint one batch, or check the changelog's end when nothing can be read. Return whether a
        batch was made.

        Its outputs are on their way then; `stop` or a step that can read nothing waits for them.
        """
        try:
            return await self._step()
        except (Fatal, Fenced, asyncio.CancelledError):
            await self._settle()
            raise

    async def stop(self) -> None:
        """Return when what is checkpointed is produced; `step` is not to be called any more."""
        await self._finish_producing()

    async def _step(self) -> bool:
        prepared, self._ready = self._ready or await self._process_next(), None
        if prepared is None:
            await self._finish_producing()
            await self.changelog.check()
            return False
        self._written = prepared
        if self._left or len(self._merge_buffer) + self._port.waiting() >= self._ahead:
            self._ready = await self._port.run_concurrently(self._write(prepared), self._process_next())
        else:
            await self._write(prepared)
        return True

    async def _process_next(self) -> PreparedBatch | None:
        """1 Read and 2 Process, after all batches that were processed before."""
        records = self._left or await self._read()
        if not records:
            return None
        began, self._others_s = (0.0 if self._batch_size is None else self._batch_size.clock()), 0.0
        prepared = await self._prepare(records, self._latest.batch + 1, self._policy())
        if self._batch_size is not None:
            self._batch_size.took(prepared.read, self._batch_size.clock() - began - self._others_s)
        self._left = records[prepared.read :]
        return prepared

    async def _write(self, prepared: PreparedBatch) -> None:
        """What Read sets aside, and 3 Checkpoint; then its outputs are on their way."""
        await self._port.produce(prepared.rejected_or_rerouted, ())
        if self.engine.keys is not None:
            self.engine.keys.saved(prepared.rejected_or_rerouted)
        await self._finish_producing(lambda: len(self._unproduced) < self.in_flight)
        self._writing = True
        try:
            checkpoint = prepared.checkpoint
            checkpoint.produced = self._produced_before(checkpoint.batch)
            items = [*prepared.items, (CHECKPOINT_KEY, encode_checkpoint(checkpoint))]
            base = await self.changelog.append(items)
            self.checkpoint = checkpoint
            self._written = None
            await self.changelog.verify(base, items)
            self._unproduced.append(prepared)
        finally:
            self._writing = False
        if self._producing is None or self._producing.done():
            await self._finish_producing()
            self._producing = self._port.start(self._produce)

    async def _produce(self) -> None:
        """4 Produce and 5 Commit of what is checkpointed, batch after batch, until there is nothing left."""
        while self._unproduced:
            prepared = self._unproduced[0]
            checkpoint = prepared.checkpoint
            await self._port.produce(checkpoint.outbox, checkpoint.common)
            self._unproduced.popleft()
            await self._port.commit(checkpoint.next_offsets)
            self._count(prepared.tally)
            if self._on_batch is not None:
                self._on_batch(self.engine.agent.name, prepared)

    def _produced_before(self, batch: int) -> int:
        """Return up to which batch all is produced, before this one is checkpointed."""
        return batch - 1 - len(self._unproduced)

    async def _finish_producing(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Return when what is checkpointed is produced, or when it is enough. Raises Fatal when it cannot be."""
        producing = self._producing
        if producing is None:
            return
        try:
            await self._port.finish(producing, enough)
        except Retry as error:  # going on without producing would lose what the checkpoint has
            raise Fatal(f"{self.name}: checkpoint written, but cannot produce: {error}") from error
        if producing.done():
            self._producing = None

    async def _settle(self) -> None:
        """Let what is on its way end, whichever way; a successor produces again what was not produced."""
        if self._producing is not None:
            with suppress(Exception):
                await self._port.finish(self._producing, lambda: False)
        self._producing = None
        self._unproduced.clear()

    @property
    def _latest(self) -> Checkpoint:
        """The checkpoint as the last processed batch leaves it."""
        return self.checkpoint if self._written is None else self._written.checkpoint

    async def _read(self) -> list[tuple[str, SourceRecord]]:
        """The next records in reading order, none below the checkpoint's offsets; empty when nothing came."""
        buffer = self._merge_buffer
        most = self._max_records if self._batch_size is None else self._batch_size.limit
        if len(buffer) < most:  # not whenever a topic is quiet: of one that is flooded, far too much would wait here
            for run in await self._port.fetch(wait=not buffer):
                buffer.add(*run)
        while buffer and (quiet := buffer.quiet()):
            ends = await self._port.ends(quiet)
            behind = [topic for topic in quiet if ends[topic] > buffer.next_offsets[topic]]
            came = await self._port.fetch(wait=False) if behind else ()
            for run in came:
                buffer.add(*run)
            if not came:
                break  # nothing more, or the broker is slow: any order is right, as long as the journal has it
        return buffer.take(most)  # none lies below the checkpoint's offsets: there the buffer began

    async def _prepare(self, records: Sequence[tuple[str, SourceRecord]], number: int, policy: Policy) -> PreparedBatch:
        """Process as many of the records as fit into one batch of the changelog."""
        refuse = None
        while True:
            try:
                processed = self.engine.process(
                    records,
                    policy,
                    self._stored,
                    self._latest.watermarks,
                    partition=self.partition,
                    refuse=refuse,
                    kept=self._kept,
                )
            except UnknownFormat as error:
                raise self._unreadable(error) from None
            except KeyUnknown as error:
                raise Fatal(
                    f"{self.name}: {error}: restore it, or what it encrypts is lost; see docs/erasure.md"
                ) from None
            # A batch before this one waits for the broker twice until it is produced: its journal record goes out here,
            # where the answer to its outputs has come meanwhile, and not only after all of this one's work.
            if self._unproduced:
                await self._give_way()
            common = self.engine.common_headers(policy, self.partition, number)
            outbox = [*processed.outputs, self._journal(records, number, policy, refuse, processed)]
            checkpoint = Checkpoint(
                self.changelog.epoch, number, self._offsets_after(records), processed.watermarks, common, outbox
            )
            items: Items = [(state_key(key), state) for key, state in processed.states.items()]
            packed = pack_outbox(Outbox(number, common, outbox))
            size = sum(len(key) + len(value or b"") + 64 for key, value in items)
            size += len(packed) + len(encode_checkpoint(checkpoint)) + 2 * 64
            if size <= self._max_bytes - 4096 and processed.largest <= self.engine.sizes.topic:
                items.append((outbox_key(number, checkpoint.slots), compress_outbox(packed)))
                return PreparedBatch(
                    len(records), processed.rejected_or_rerouted, checkpoint, items, processed.states, processed.tally
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
                    f"{self.name}: batch {number} takes {size} bytes with nothing processed; raise "
                    f"changelog_message_bytes above {self._max_bytes}"
                )

    async def _give_way(self) -> None:
        """Let others of this thread work; it is not this batch's time."""
        began = 0.0 if self._batch_size is None else self._batch_size.clock()
        await self._port.give_way()
        if self._batch_size is not None:
            self._others_s += self._batch_size.clock() - began

    def _journal(
        self,
        records: Sequence[tuple[str, SourceRecord]],
        number: int,
        policy: Policy,
        refused: str | None,
        processed: Processed[OutputRecord],
    ) -> OutputRecord:
        return journal_record(
            self.engine.agent.name,
            self.partition,
            number,
            records,
            previous=self._latest.journal_digest,
            policy=policy.digest,
            version=self.engine.version,
            epoch=self.changelog.epoch,
            seals=self.engine.seals,
            refused=refused,
            forged=processed.forged,
            keys=processed.key_ids,
            unreadable=processed.unreadable,
        )

    def _stored(self, key: str) -> bytes | None:
        if self._written is not None and key in self._written.states:
            return self._written.states[key]
        return self.changelog.get(state_key(key))

    def _offsets_after(self, records: Sequence[tuple[str, SourceRecord]]) -> dict[str, int]:
        offsets = dict(self._latest.next_offsets)
        for topic, raw in records:
            offsets[topic] = raw.offset + 1
        return offsets

    def _count(self, tally: Tally) -> None:
        for name in Tally.__slots__:
            setattr(self.tally, name, getattr(self.tally, name) + getattr(tally, name))
