"""Seals as history has them: what a batch took for ours is in its journal, so replay needs no key.

A record of a topic that an agent reads counts as ours when it carries a seal and no journal record names it as forged.
Of what no agent reads (the journal and policies, which replay goes by, tables, dead letters) nothing is on record:
there a key decides, and without one whatever carries a seal is taken for ours. The seal itself is replaced by a
constant, in what was recorded and in what is made again, so that records are compared byte for byte whichever key
sealed them; under a key, each seal is checked apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.records import SEAL, Fetched, Header, SourceRecord
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.replay.record_log import MemoryLog, RecordLog

RECORDED = b"recorded"
"""Takes the place of a seal's content."""
JOURNAL = "journal"
OURS_ALONE = frozenset((JOURNAL, "policies"))
"""Topics that replay goes by and nothing else reads: what a stranger writes there is nothing."""
KEPT = 1000


class ConstantSeals:
    """Seals of a run that is made again: all alike (see endocrine.pipeline.core.seals.Seals)."""

    def seal(self, *record: Any, **parts: Any) -> bytes:
        """Return a constant, as nothing is sealed again."""
        return RECORDED

    def valid(self, topic: str, raw: SourceRecord, headers: Mapping[str, bytes | None]) -> bool:
        """Return whether `RecordedSeals` left a seal on the record."""
        return headers.get(SEAL) == RECORDED


class RecordedSeals:
    """Prepares records for replay. keys: None, seals are not checked.

    The records of `journal` come first: they list which seals were not ours. checked, unknown: the number of seals that
    were checked with a key, and that name a key that is not there. foreign: the number that a key refused. wrong:
    places of records whose seal is not what the journal took it for, at most 1,000.
    """

    def __init__(self, keys: KeyedSeals | None = None) -> None:
        self.checked = self.unknown = self.foreign = 0
        self.wrong: list[str] = []
        self._keys = keys
        self._forged: set[tuple[str, int, int]] = set()

    @property
    def keyed(self) -> bool:
        """Whether seals are checked."""
        return self._keys is not None

    def records(self, topic: str, some: Sequence[Any]) -> list[Any]:
        """Return records of one topic as replay takes them; of topics that replay goes by, what is not ours is left
        out."""
        if topic in OURS_ALONE:
            return [raw for one in some if (raw := self._ours(topic, one)) is not None]
        record = self._record
        return [record(topic, raw) for raw in some]

    def _record(self, topic: str, raw: Any) -> Any:
        if not raw.headers:
            return raw
        headers = dict(raw.headers)
        if SEAL not in headers:
            return raw
        described = CATALOGUE.get(topic)
        if described is None or described.owner is None:
            ours = self._decided(topic, raw, headers)
        else:
            ours = (topic, raw.partition, raw.offset) not in self._forged
            if ours:
                self._check(topic, raw, headers)
        if ours:
            return _sealed_as(raw, RECORDED)
        # A stranger may write the constant itself. What takes its place is as long: sizes are part of what is compared.
        return _with(
            raw, [(name, content and b"?" * len(content) if name == SEAL else content) for name, content in raw.headers]
        )

    def _ours(self, topic: str, raw: Any) -> Any | None:
        headers = dict(raw.headers)
        if SEAL not in headers or not self._decided(topic, raw, headers):
            return None
        if topic == JOURNAL and raw.value is not None and b'"forged"' in raw.value:
            self._note(raw)
        return _sealed_as(raw, RECORDED)

    def _decided(self, topic: str, raw: Any, headers: Mapping[str, bytes | None]) -> bool:
        """Whether a record that no agent reads is ours: by a key where there is one."""
        if self._keys is None:
            return True
        if self._keys.valid(topic, raw, headers):
            self.checked += 1
            return True
        self.foreign += 1
        self.unknown += not self._keys.knows(headers[SEAL])
        return False

    def _check(self, topic: str, raw: Any, headers: Mapping[str, bytes | None]) -> None:
        if self._keys is None:
            return
        if not self._keys.knows(headers[SEAL]):
            self.unknown += 1
            return
        self.checked += 1
        if not self._keys.valid(topic, raw, headers) and len(self.wrong) < KEPT:
            self.wrong.append(f"{topic}/{raw.partition}/{raw.offset}")

    def _note(self, raw: Any) -> None:
        """The records that a batch took for forged."""
        try:
            entry = orjson.loads(raw.value)
            self._forged |= {(topic, raw.partition, offset) for topic, offset in entry.get("forged") or ()}
        except (ValueError, TypeError, AttributeError):
            return  # no journal record: the journal's reader reports it


def prepared(
    logs: Mapping[tuple[str, int], Sequence[Any]], recorded: RecordedSeals
) -> dict[tuple[str, int], RecordLog]:
    """Return logs as replay takes them. Those that are a `Log` were prepared when they were read."""
    first = sorted(logs, key=lambda place: place[0] != JOURNAL)
    made = {
        place: log if isinstance(log := logs[place], RecordLog) else MemoryLog(recorded.records(place[0], log))
        for place in first
    }
    return {place: made[place] for place in logs}


def _sealed_as(raw: Any, seal: bytes) -> Fetched:
    return _with(raw, [(name, seal if name == SEAL else content) for name, content in raw.headers])


def _with(raw: Any, headers: list[Header]) -> Fetched:
    return Fetched(raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, tuple(headers))
