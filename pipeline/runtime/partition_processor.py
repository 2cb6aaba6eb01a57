"""One agent on one partition number: the whole path of a batch, top to bottom.

The five steps, the same numbers in architecture section 4:
1. Read      take what was fetched; drop what lies below the head's offsets and copies; dead letters and misfits are
             sent and acknowledged here.
2. Think     run the agent over the batch: (state, record) -> (new state, outputs). Pure.
3. Remember  ONE record batch to the changelog: new states, tombstones, and the head with offsets, marks and outbox.
4. Speak     send the outbox in order; its last record is the batch's journal record.
5. Commit    tell the group; late or never does no harm: the head's offsets are the truth.

What a crash between two steps leaves: before 3, nothing but dead letters and re-keyed records, which come again under
the same id. After 3, the head: the successor speaks its outbox again, byte for byte, before anything else. After 4,
nothing to do. A unit awaits nothing but its port, so deterministic simulation can stop it before every single effect.

While a batch goes through 3 to 5, the next one may go through 1 and 2 (where enough waits): on the states and the head
that the first one leaves, and nothing of it leaves the unit until the first one is done.
"""

from collections.abc import Callable, MutableMapping, Sequence

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine, Tally
from endocrine.pipeline.core.changelog import CLAIM_KEY, HEAD_KEY, Recovered, state_key
from endocrine.pipeline.core.checkpoint import Head, decode_head, encode_head
from endocrine.pipeline.core.journal import journal_record
from endocrine.pipeline.core.prepared_batch import Items, Thought
from endocrine.pipeline.core.records import Outgoing, Raw
from endocrine.pipeline.runtime.adaptive_batch_size import Pace
from endocrine.pipeline.runtime.broker_port import Port
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.merge_buffer import Inbox
from endocrine.pipeline.runtime.state_stores import RocksStore

AHEAD_RECORDS = 200
"""How many records must wait for a batch to be thought while the one before is written. Were a few enough, the next
ones would have to wait for two writes instead of one."""


class Unit:
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
        port: Port,
        store: MutableMapping[bytes, bytes],
        policy: Callable[[], Policy],
        *,
        max_records: int,
        max_bytes: int,
        ahead: int = AHEAD_RECORDS,
        pace: Pace | None = None,
        on_batch: Callable[[str, Thought], None] | None = None,
    ) -> None:
        self.engine = engine
        self.partition = partition
        self.head = Head()
        self.claim = -1
        self.critical = False
        """Between the start of Remember and the end of Speak: a revocation waits for the end of it."""
        self.tally = Tally()
        self._port = port
        self._store = store
        self._policy = policy
        self._max_records = max_records
        self._pace = pace
        self._max_bytes = max_bytes
        self._ahead = ahead
        self._written: Thought | None = None
        """The batch that is on its way from 3 to 5."""
        self._ready: Thought | None = None
        """The batch after it, thought already."""
        self._left: list[tuple[str, Raw]] = []
        """What was read with it and did not fit into it."""
        self._on_batch = on_batch
        self._inbox = Inbox(engine.agent.sources)
        self._expected = 0
        """The changelog offset that our next record must get if nobody else wrote."""

    @property
    def name(self) -> str:
        """`agent/partition`."""
        return f"{self.engine.agent.name}/{self.partition}"

    # ---- takeover ----

    async def take_over(self) -> None:
        """Claim, recover, mend what a zombie overwrote, speak the last outbox again, and go to the head's offsets."""
        self.critical = True  # a claim in flight may land after a successor's and fence it: let it land
        self.claim = await self._port.claim()
        self.critical = False
        recovered = Recovered(self._store)
        async for entries in self._port.changelog(self._resume(recovered), self.claim + 1):
            recovered.apply(entries)
            if entries:
                self._settle(entries[-1].offset + 1, recovered.claim, recovered.void)
        if recovered.claim != self.claim:  # compacted away, which only a newer claim can do
            raise Fenced(f"{self.name}: the changelog shows claim {recovered.claim}, ours at {self.claim} is gone")
        self._expected = self.claim + 1
        self._written = self._ready = None
        self._left = []
        remembered = self._store.get(HEAD_KEY)
        try:
            self.head = Head() if remembered is None else decode_head(remembered)
        except ValueError as error:
            raise Fatal(f"{self.name}: {error}") from None
        await self._mend(recovered.void)
        await self._port.speak(self.head.outbox, self.head.common)
        ends = await self._port.ends(self.engine.agent.sources)
        for topic, offset in self.head.front.items():
            if topic in ends and offset > ends[topic]:
                raise Fatal(
                    f"{self.name}: the head is at offset {offset} of {topic}, which ends at {ends[topic]}: it was "
                    "re-created or its broker lost its tail. Restore it, or start with a new prefix."
                )
        self._inbox.clear(self.head.front)
        await self._port.seek(self.head.front)

    def _resume(self, recovered: Recovered) -> int:
        """From which changelog offset to recover: a durable store that is not ahead of the changelog saves the rest."""
        mark = self._store.begin() if isinstance(self._store, RocksStore) else None
        if mark is None or mark.position > self.claim:
            self._store.clear()
            return 0
        recovered.claim, recovered.void = mark.claim, set(mark.void)
        return mark.position

    def _settle(self, position: int, claim: int, void: set[bytes]) -> None:
        """What a durable store was given becomes its own: the changelog below `position` is in it."""
        if isinstance(self._store, RocksStore):
            self._store.flush(position, claim, void)

    # ---- the loop ----

    async def run(self) -> None:
        """Take over, then batch after batch until cancelled. Raises Fenced or Fatal."""
        await self.take_over()
        while True:
            await self.step()

    async def step(self) -> bool:
        """One batch, or one look at the changelog's end when there is nothing to read. True if a batch was made."""
        thought, self._ready = self._ready or await self._think(), None
        if thought is None:
            await self._look(await self._port.changelog_end())
            return False
        self._written = thought
        if self._left or len(self._inbox) + self._port.waiting() >= self._ahead:
            self._ready = await self._port.beside(self._write(thought), self._think())
        else:
            await self._write(thought)
        return True

    async def _think(self) -> Thought | None:
        """1 Read and 2 Think, after all that was thought before."""
        records = self._left or await self._read()
        if not records:
            return None
        began = 0.0 if self._pace is None else self._pace.clock()
        thought = self._fit(records, self._latest.batch + 1, self._policy())
        if self._pace is not None:
            self._pace.took(thought.read, self._pace.clock() - began)
        self._left = records[thought.read :]
        return thought

    async def _write(self, thought: Thought) -> None:
        """Everything of a batch that leaves the unit."""
        await self._port.speak(thought.aside, ())
        self.critical = True
        base = await self._port.remember(thought.items, self.claim)  # 3 Remember
        self._keep(thought.items)
        self.head = thought.head
        await self._after_write(base, thought.items)
        await self._port.speak(thought.head.outbox, thought.head.common)  # 4 Speak
        self.critical = False
        await self._port.commit(thought.head.front)  # 5 Commit
        self._written = None
        self._count(thought.tally)
        if self._on_batch is not None:
            self._on_batch(self.engine.agent.name, thought)

    @property
    def _latest(self) -> Head:
        """The head as the last thought batch leaves it."""
        return self.head if self._written is None else self._written.head

    async def _read(self) -> list[tuple[str, Raw]]:
        """The next records in reading order, none below the head's offsets; empty when nothing came."""
        inbox = self._inbox
        most = self._max_records if self._pace is None else self._pace.limit
        if len(inbox) < most:  # not whenever a topic is quiet: of one that is flooded, far too much would wait here
            for run in await self._port.fetch(wait=not inbox):
                inbox.add(*run)
        while inbox and (quiet := inbox.quiet()):
            ends = await self._port.ends(quiet)
            behind = [topic for topic in quiet if ends[topic] > inbox.following[topic]]
            came = await self._port.fetch(wait=False) if behind else ()
            for run in came:
                inbox.add(*run)
            if not came:
                break  # nothing more, or the broker is slow: any order is right, as long as the journal has it
        front = self._latest.front
        taken = inbox.take(most)
        if taken and len(self.engine.agent.sources) == 1 and taken[0][1].offset >= front.get(taken[0][0], 0):
            return taken  # one topic in offset order: none of the others lies below either
        return [(topic, raw) for topic, raw in taken if raw.offset >= front.get(topic, 0)]

    def _fit(self, records: Sequence[tuple[str, Raw]], number: int, policy: Policy) -> Thought:
        """Think over as many of the records as fit into one batch of the changelog."""
        refuse = None
        while True:
            processed = self.engine.process(
                records, policy, self._stored, self._latest.marks, partition=self.partition, refuse=refuse
            )
            common = self.engine.common_headers(policy, self.partition, number)
            outbox = [*processed.outputs, self._journal(records, number, policy, refuse, processed.forged)]
            head = Head(self.claim, number, self._front_after(records), processed.marks, common, outbox)
            items: Items = [(state_key(key), state) for key, state in processed.states.items()]
            items.append((HEAD_KEY, encode_head(head)))
            size = sum(len(key) + len(value or b"") + 64 for key, value in items)
            if size <= self._max_bytes - 4096 and processed.largest <= self.engine.sizes.topic:
                return Thought(len(records), processed.aside, head, items, processed.states, processed.tally)
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
        records: Sequence[tuple[str, Raw]],
        number: int,
        policy: Policy,
        refused: str | None,
        forged: Sequence[tuple[str, int]],
    ) -> Outgoing:
        return journal_record(
            self.engine.agent.name,
            self.partition,
            number,
            records,
            previous=self._latest.journal_digest,
            policy=policy.digest,
            version=self.engine.version,
            claim=self.claim,
            seals=self.engine.seals,
            refused=refused,
            forged=forged,
        )

    def _stored(self, key: str) -> bytes | None:
        if self._written is not None and key in self._written.states:
            return self._written.states[key]
        return self._store.get(state_key(key))

    def _front_after(self, records: Sequence[tuple[str, Raw]]) -> dict[str, int]:
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
            self._settle(self._expected, self.claim, set())
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
        self._settle(self._expected, self.claim, hidden)
        return hidden

    async def _foreign(self, start: int, end: int) -> set[bytes]:
        """Keys that older owners wrote at start <= offset < end. Raises Fenced on a newer claim."""
        hidden: set[bytes] = set()
        if start >= end:
            return hidden
        async for entries in self._port.changelog(start, end):
            for entry in entries:
                if entry.key == CLAIM_KEY:
                    raise Fenced(f"{self.name}: claimed anew at {entry.offset}; ours is {self.claim}", entry.value)
                if entry.claim < self.claim:
                    hidden.add(entry.key)
        return hidden

    async def _mend(self, keys: set[bytes]) -> None:
        """Write again what a zombie's stale records hide, and the head with it."""
        while keys:
            items = [(key, self._store.get(key)) for key in sorted(keys)]
            base = await self._port.remember(items, self.claim)
            keys = await self._hidden(base, items)
