"""Topics and compacted changelogs of the model: lists, and what happened."""

import collections
import hashlib
from types import SimpleNamespace as Record

SOURCES = {"X": ["s1", "s2"], "Y": ["d1", "d2", "s3"]}
"""Y reads what X produces."""
TARGETS = {"X": ["d1", "d2", "x.dead"], "Y": ["e1", "e2", "y.dead"]}
"""The last one takes dead letters and rejects."""
KINDS = "nnnooowzcr"
"""n state only, o one output, w three outputs, z may change nothing, c close, r may reject."""
EPOCH, CHECKPOINT, OUTBOX = "#epoch", "#checkpoint", "#outbox"
Entry = collections.namedtuple("Entry", "offset key value epoch")


class Fenced(Exception):
    """A newer epoch is in the changelog: this worker must stop."""


def digest(*parts):
    """Eight hexadecimal digits of a hash."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


class Changelog:
    """A compacted partition; offsets survive compaction. `ever` is the uncompacted copy, which checks may read."""

    def __init__(self):
        self.entries, self.ever = [], []

    def append(self, items, epoch):
        """Append one atomic batch; return its base offset."""
        base = len(self.ever)
        for key, value in items:
            offset = len(self.ever)
            self.ever.append(Entry(offset, key, value, offset if key == EPOCH else epoch))
            self.entries.append(self.ever[-1])
        return base

    def compact(self, lag):
        """Keep the last record of each key. The lag: a void record is repaired before it can displace what it hides."""
        epoch, void = -1, {}
        for entry in self.entries:
            if entry.key == EPOCH:
                epoch = entry.offset
            elif entry.epoch < epoch:
                void.setdefault(entry.key, entry.offset)
            else:
                void.pop(entry.key, None)
        bound = min([*void.values(), len(self.ever)]) if lag else len(self.ever)
        last = {entry.key: entry.offset for entry in self.entries if entry.offset < bound}
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= bound
            or (last[entry.key] == entry.offset and (entry.value is not None or entry.key == EPOCH))
        ]


class Broker:
    """All topics, of one partition each, the changelogs, the group's offsets, and the policy in force."""

    def __init__(self):
        self.topics = collections.defaultdict(list)
        self.changelogs = {agent: Changelog() for agent in SOURCES}
        self.committed, self.starts = collections.Counter(), collections.Counter()
        self.policy, self.clock, self.trace = 0, 0, []

    def send(self, out, by):
        """Append a record to its topic."""
        self.clock += 1
        log = self.topics[out.topic]
        log.append(Record(**{**vars(out), "offset": len(log), "time": self.clock, "by": by}))
        self.trace.append(f"{by} produces {out.id} to {out.topic}")


def message(topic, id, key, kind, origin=None, moved_from=None, batch=None, body=None):
    """A record to be produced. `bytes` is all that a reader of the topic can see of it."""
    return Record(
        topic=topic,
        id=id,
        key=key,
        kind=kind,
        origin=origin,
        moved_from=moved_from,
        batch=batch,
        body=body,
        bytes=repr((id, key, kind, origin, moved_from, batch, body)),
    )
