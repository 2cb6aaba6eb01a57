"""Records in event time: exports list conversations newest first, and sessions overlap.

Cooldowns and times to live are counted in event time, so an older turn that came after a newer one would be judged
wrongly. The records lie in a temporary file meanwhile; in memory stay 24 bytes and a little for each.
"""

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import orjson

from endocrine.pipeline.data.ingest.model import Record


class TimeOrder:
    """Takes records in any order; iterating gives them by `ts`, equal times in the order they came."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._times, self._offsets = array("d"), array("q", [0])
        self._file: BinaryIO | None = None
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take one record."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the last record was given
        raw = orjson.dumps([record.where, record.topic, record.value, record.key, record.headers])
        self._file.write(raw)
        self._times.append(record.value["ts"])
        self._offsets.append(self._offsets[-1] + len(raw))

    def __iter__(self) -> Iterator[Record]:
        if self._file is None:
            return
        with self._file as file:
            for index in sorted(range(len(self._times)), key=self._times.__getitem__):
                file.seek(self._offsets[index])
                yield Record(*orjson.loads(file.read(self._offsets[index + 1] - self._offsets[index])))
