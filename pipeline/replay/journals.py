"""The journal as verification reads it: first copies per unit, checked for copies, gaps and the chain."""

import hashlib
from array import array
from collections.abc import Callable, Collection, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.pipeline.core.journal import unknown_version
from endocrine.pipeline.replay.difference import form_of
from endocrine.pipeline.replay.output_streams import digest_of
from endocrine.pipeline.replay.record_log import RecordLog
from endocrine.schemas.proofs import JournalEntry

Find = Callable[[str, str], None]
"""Called with the kind of a finding and its sentence."""


class ProcessorJournal:
    """The batches of one unit: where their journal records are, and when each was appended."""

    def __init__(self, processor: str, log: RecordLog) -> None:
        self.processor = processor
        self.base = 1
        """The first batch whose record is there."""
        self.broken: str | None = None
        """Why it cannot be followed beyond its last batch here, if that is so."""
        self.times = array("q")
        """Append times of its records, milliseconds since 1970, made ascending."""
        self._offsets = array("q")
        self._log = log

    @property
    def last(self) -> int:
        """The last batch; one less than `base` when there are no batches."""
        return self.base + len(self._offsets) - 1

    def raw(self, batch: int) -> Any:
        """Return the journal record of a batch."""
        return self._log.at(self._offsets[batch - self.base])

    def entry(self, batch: int) -> dict[str, Any]:
        """Return the content of the journal record of a batch."""
        entry: dict[str, Any] = orjson.loads(self.raw(batch).value)
        return entry

    def digest(self, batch: int) -> str | None:
        """Return SHA-256 of the bytes of a batch's journal record; None where that is not known (any more)."""
        if self.base <= batch <= self.last:
            return hashlib.sha256(self.raw(batch).value).hexdigest()
        if batch == self.base - 1 and self.last >= self.base:
            previous: str | None = self.entry(self.base)["previous"]
            return previous
        return None

    def next_offsets(self, start: Mapping[str, int], after: int, last: int) -> dict[str, int]:
        """Return the next offsets after batch `last`, from those after batch `after`."""
        next_offsets = dict(start)
        for batch in range(max(after + 1, self.base), min(last, self.last) + 1):
            for topic, first, count in self.entry(batch)["runs"]:
                next_offsets[topic] = first + count
        return next_offsets

    def _append(self, raw: Any) -> None:
        self.times.append(max(raw.timestamp, self.times[-1] if self.times else raw.timestamp))
        self._offsets.append(raw.offset)


def read_journal(
    log: RecordLog, partition: int, find: Find, restored_from: Collection[str] = ()
) -> dict[str, ProcessorJournal]:
    """Return the journals of all units of a partition. restored_from: what the first record of a unit whose state was
    restored names as the one before it."""
    journals: dict[str, ProcessorJournal] = {}
    ends: dict[str, str] = {}
    for raw in log:
        processor = (raw.key or b"").decode("utf-8", "backslashreplace")
        detail = f"journal/{partition} at offset {raw.offset}, of {processor}"
        if (unknown := unknown_version(raw.headers)) is not None:
            find("not verifiable", f"{detail}: {unknown}")
            continue
        try:
            entry = JournalEntry.model_validate_json(raw.value or b"")
        except ValidationError as error:
            find("journal unreadable", f"{detail}: {error.errors()[0]['msg']}")
            continue
        if processor != f"{entry.agent}/{entry.partition}" or entry.partition != partition:
            find("journal unreadable", f"{detail}: it is about {entry.agent}/{entry.partition}")
            continue
        journal = journals.get(processor)
        if journal is None:
            journal = journals[processor] = ProcessorJournal(processor, log)
            if log.start > 0 or entry.previous in restored_from:
                journal.base = entry.batch  # what was before is gone by retention, or in a backup
                ends[processor] = entry.previous or ""
        if journal.broken is not None:
            continue
        if journal.base <= entry.batch <= journal.last:
            first = journal.raw(entry.batch)
            if digest_of(form_of(first)) != digest_of(form_of(raw)):
                find(
                    "copies differ",
                    f"journal record {processor}/{entry.batch} at offsets {first.offset} and {raw.offset}",
                )
            continue
        if entry.batch != journal.last + 1:
            if entry.batch < journal.base:
                continue  # a copy of one that is gone by retention
            journal.broken = f"batch {entry.batch} follows {journal.last}"
            find("journal gap", f"{detail}: {journal.broken}")
            continue
        if (entry.previous or "") != ends.get(processor, ""):
            before = f"journal/{partition} at offset {journal.raw(journal.last).offset}" if journal.times else "none"
            find("journal chain", f"{detail}: batch {entry.batch} does not name the record before it, {before}")
        journal._append(raw)
        ends[processor] = hashlib.sha256(raw.value).hexdigest()
    return journals
