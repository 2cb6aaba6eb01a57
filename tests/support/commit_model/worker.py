"""One incarnation of a worker of an agent: recovery, and batches of which several are in flight.

Two activities take turns at random. The *writer* reads, processes and checkpoints batch after batch; the *producer*
sends the outboxes of checkpointed batches, one batch after the other. Each checkpoint is ONE atomic record batch: the
changed states (a tombstone for a closed key), the outbox of this batch under the key `#outbox` + number modulo slots,
and `#checkpoint`:
  batch       number of the batch; the first is 1
  front       per source topic, the first offset not yet taken into a batch
  watermarks  for dropping copies of derived and of re-keyed records
  produced    all batches up to this number are produced and acknowledged, as far as known when this was encoded
  slots       for how many batches there are keys of outboxes
So batch n waits to be checkpointed until n - produced <= slots: its key is that of batch n - slots, which is produced.
A successor produces the outboxes of produced + 1 to batch, in order, and only then reads.

Every `yield` is BEFORE one effect on the broker: dropping the generator there is a crash; leaving it there while
another starts, and stepping it later, is a zombie. 'waits' is yielded where nothing but the other activity helps.
"""

import collections
from types import SimpleNamespace as Record

from commit_model.broker import CHECKPOINT, EPOCH, OUTBOX, SOURCES, Fenced
from commit_model.process import journal_record, process


def recover(entries, design):
    """The valid content of a changelog, and the keys whose last record is void and must be repaired."""
    store, void, epoch, newest = {}, set(), -1, {}
    for entry in entries:
        if entry.key == EPOCH:
            epoch = entry.offset
            continue
        if design.epoch and entry.epoch < epoch:
            void.add(entry.key)
            continue
        if not design.epoch and entry.epoch < newest.get(entry.key, -1):
            continue  # the ablation: a generation per key
        newest[entry.key] = entry.epoch
        void.discard(entry.key)
        store[entry.key] = entry.value
    return {key: value for key, value in store.items() if value is not None}, sorted(void)


def is_state(key):
    """Whether a key of the changelog is that of a state."""
    return not key.startswith("#")


class Worker:
    """One incarnation. slots: how many batches may be in flight, the one being checkpointed included."""

    def __init__(self, broker, agent, coarse, design, rng):
        broker.starts[agent] += 1
        self.broker, self.agent, self.coarse, self.design, self.rng = broker, agent, coarse, design, rng
        self.name = f"{agent}{broker.starts[agent]}"
        self.log, self.topics = broker.changelogs[agent], broker.topics
        self.slots = rng.choice(design.slots)
        self.pending = collections.deque()
        """Batches that are checkpointed and not yet sent: (number, records)."""
        self.under_way = set()
        """Numbers of those that are being sent: one, but for the ablation."""
        self.produced = 0
        self.looked = False

    def life(self):
        """Recover, then write and produce for ever."""
        yield from self.take_over()
        activities = [self.write(), self.produce()]
        if self.design.produce == "overlapping":
            activities.append(self.produce())
        waiting: set[int] = set()
        while True:
            ready = [place for place in range(len(activities)) if place not in waiting]
            if not ready:
                waiting.clear()
                yield "idle"
                continue
            place = self.rng.choice(ready)
            happened = next(activities[place])
            if happened == "waits":
                waiting.add(place)
            else:
                waiting.clear()
                yield happened

    # ---- the changelog ----

    def look(self, end):
        """What others wrote from the expected offset to `end`: an epoch fences; void records are to be repaired."""
        gap, self.expected = self.log.ever[self.expected : end], end
        if not self.design.epoch:
            return []
        if any(entry.key == EPOCH for entry in gap) and not (self.design.look == "once" and self.looked):
            raise Fenced
        self.looked = True
        return sorted({entry.key for entry in gap if entry.epoch < self.epoch})

    def append(self, items):
        """One atomic produce request. Its base offset betrays foreign records. Return the keys to repair."""
        base = self.log.append(items, self.epoch)
        self.broker.trace.append(f"{self.name} checkpoints {[key for key, _ in items]} at {base}")
        foreign = self.look(base)
        self.expected = base + len(items)
        return [key for key in foreign if key not in dict(items)]

    def repair(self, keys):
        """Write again what void records hide."""
        while keys:
            yield "effect"
            keys = self.append([(key, self.store.get(key)) for key in keys])

    # ---- recovery ----

    def take_over(self):
        """Begin an epoch, recover, repair, and produce what was not noted as produced."""
        design, agent = self.design, self.agent
        self.epoch = self.broker.starts[agent]
        if design.epoch:
            yield "effect"
            self.epoch = self.log.append([(EPOCH, None)], None)
            self.broker.trace.append(f"{self.name} begins epoch {self.epoch}")
        self.expected = len(self.log.ever)
        self.store, void = recover(self.log.entries, design)
        yield from self.repair(void)
        start = Record(batch=0, front=dict.fromkeys(SOURCES[agent], 0), watermarks={}, produced=0, slots=1)
        self.checkpoint = self.store.get(CHECKPOINT) or start
        lost = self.rng.random() < 0.1
        self.position = {t: 0 if lost else self.broker.committed[agent, t] for t in SOURCES[agent]}
        numbers = range(self.checkpoint.produced + 1, self.checkpoint.batch + 1)
        if design.recovers == "last only":
            numbers = numbers[-1:]
        if design.recovers == "descending":
            numbers = numbers[::-1]
        for number in numbers if design.reproduce else ():
            kept = self.store.get(OUTBOX + str(number % self.checkpoint.slots))
            if kept is not None and (kept[0] == number or design.slot_check is False):
                yield from self.send(kept[1])
        self.produced = self.checkpoint.batch

    def send(self, records):
        """Records to their topics, one effect each."""
        for record in records:
            yield "effect"
            self.broker.send(record, self.name)

    # ---- 4 Produce ----

    def produce(self):
        """The outboxes of checkpointed batches; a batch counts as produced when all of it is acknowledged."""
        while True:
            if not self.pending:
                yield "waits"
                continue
            number, records = self.pending.popleft()
            if self.design.counts == "sent":
                self.produced = number
            self.under_way.add(number)
            yield from self.send(records)
            self.under_way.remove(number)
            following = [number for number, _ in self.pending]
            self.produced = max(self.produced, min([*self.under_way, *following, self.checkpoint.batch + 1]) - 1)

    # ---- 1 Read, 2 Process, 3 Checkpoint, 5 Commit ----

    def read(self):
        """A few records of some topics, in any interleaving of topics."""
        batch = []
        for _ in range(self.rng.randint(1, 4)):
            ready = [t for t in SOURCES[self.agent] if self.position[t] < len(self.topics[t])]
            if ready:
                topic = self.rng.choice(ready)
                batch.append(self.topics[topic][self.position[topic]])
                self.position[topic] += 1
        return batch

    def write(self):
        """Batch after batch up to its checkpoint."""
        agent, rng = self.agent, self.rng
        while True:
            if all(self.position[t] == len(self.topics[t]) for t in SOURCES[agent]):
                yield "waits"
                if not self.pending and self.expected < len(self.log.ever):  # idle: look at the changelog's end
                    yield "effect"
                    yield from self.repair(self.look(len(self.log.ever)))
            batch = self.read()
            fresh = [record for record in batch if record.offset >= self.checkpoint.front[record.topic]]
            if fresh:
                yield from self.write_batch(batch, fresh)
            while rng.random() < 0.5:  # 5 Commit: a hint; late, backward or a zombie's, never past a checkpoint
                yield "effect"
                topic = rng.choice(SOURCES[agent])
                most = min(self.position[topic], self.checkpoint.front[topic])
                self.broker.committed[agent, topic] = rng.randint(0, most)

    def write_batch(self, batch, fresh):
        """Process and checkpoint one batch; it is pending then."""
        agent, design = self.agent, self.design
        number, policy, watermarks = self.checkpoint.batch + 1, self.broker.policy, dict(self.checkpoint.watermarks)
        states = {key: state for key, state in self.store.items() if is_state(key)}
        aside, outbox, processed, kept = process(agent, fresh, number, policy, states, watermarks, self.coarse, design)
        yield from self.send(aside)
        if design.commits == "what is read":
            for topic in SOURCES[agent]:
                yield "effect"
                self.broker.committed[agent, topic] = self.position[topic]
        if design.grouped:
            outbox.sort(key=lambda out: out.key)
        recorded = {"fresh": fresh, "kept": kept, "processed": processed, "all": batch}[design.runs]
        journal = [journal_record(agent, number, recorded, policy)]
        records = {"last": outbox + journal, "first": journal + outbox}.get(design.journal, outbox)
        if design.journal == "before the checkpoint":
            yield from self.send(journal)
        slots = 1 if design.outboxes == "last only" else self.slots
        while number - self.produced > self.slots + (design.bound == "one more"):
            yield "waits"
        front = {t: max(self.checkpoint.front[t], self.position[t]) for t in SOURCES[agent]}
        checkpoint = Record(
            batch=number,
            front=front,
            watermarks=watermarks,
            produced=self.produced,
            slots=slots,
            processed=[(record, policy) for record in processed],  # for the checks alone
        )
        items = [(key, state) for key, state in states.items() if state != self.store.get(key)]
        items += [(OUTBOX + str(number % slots), (number, records)), (CHECKPOINT, checkpoint)]
        pending = (number, records + (journal if design.journal == "after, not in the outbox" else []))
        if design.produce == "before the look":
            self.pending.append(pending)
        for part in [[item] for item in items] if design.split else [items]:
            yield "effect"
            void = self.append(part)
            self.store = {key: value for key, value in {**self.store, **dict(part)}.items() if value is not None}
            yield from self.repair(void)
        self.checkpoint = checkpoint
        if design.produce != "before the look":
            self.pending.append(pending)
