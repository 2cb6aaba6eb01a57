"""Keys of content as a batch had them: its journal record names those that it encrypted with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from endocrine.pipeline.core.content_keys import TOPIC, KeyTable, KeyUnknown, subject_digest
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.core.seals import SealKey
from endocrine.pipeline.replay.recorded_seals import ConstantSeals


def recorded_table(
    wrapping: Sequence[SealKey], logs: Mapping[tuple[str, int], Iterable[Any]], partitions: int
) -> KeyTable | None:
    """Return the keys that are on record, destroyed ones among them; None without a key that unwraps them.

    logs: as prepared for replay. Raises ContentKeyError.
    """
    if not wrapping:
        return None
    table = KeyTable(wrapping, ConstantSeals(), partitions, encrypts=False)
    for number in range(partitions):
        table.add(logs.get((TOPIC, number), ()))
    return table


class RecordedKeys:
    """Keys of a run that is made again (see endocrine.pipeline.core.encryption.Keys). table: the keys as they are now,
    destroyed ones among them."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table
        self._named: dict[str, str] = {}
        self.encrypts = False

    def begin(self, entry: Mapping[str, Any]) -> None:
        """Go on to the batch of this journal record. Raises KeyUnknown where a key that it names is nowhere."""
        named = entry.get("keys")
        self.encrypts = named is not None
        self._named = {}
        for key_id in named or ():
            if (owner := self._table.owner(key_id)) is None:
                raise KeyUnknown(key_id)
            self._named[owner] = key_id

    def find(self, key_id: str) -> bytes:
        """Return a key. Raises KeyUnknown, and KeyDestroyed."""
        return self._table.find(key_id)

    def writing(self, subject: str) -> tuple[str, bytes]:
        """Return the key that the batch encrypted a subject's content with. Raises KeyDestroyed where it is gone,
        KeyUnknown where the batch names none of the subject."""
        key_id = self._named.get(subject_digest(subject))
        if key_id is None:
            raise KeyUnknown("none")
        return key_id, self._table.find(key_id)

    def unsaved(self, key_ids: Iterable[str]) -> list[OutputRecord]:
        """Return nothing: a batch that is made again makes no keys."""
        return []

    def saved(self, records: Iterable[OutputRecord]) -> None:
        """Do nothing, for the same reason."""
