"""The hash chain of a topic: every record names the hash of the one before it on its partition.

The hash is SHA-256 over the record's canonical JSON (RFC 8785) without the field `hash` itself; `previous` is part of
it. The chain's end is stored with the states of the batch, so it is as sure as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from endocrine.agents.policy.digest import canonical_digest
from endocrine.pipeline.core.records import SourceRecord, stored_value

CHAIN_KEY = ""
"""State key of the chains' ends. No agent's key is empty: identities have at least one character."""


LOST = ""
"""In the place of an end: what replay cannot know, after a record whose key is destroyed."""


class Chains:
    """The chains of one unit, by topic. before: the value under CHAIN_KEY. recorded: returns the `previous` of a record
    that is on record, by topic and `ce_id`; for replay, where an end is lost."""

    def __init__(
        self, before: bytes | None, recorded: Callable[[str, bytes], str | None] = lambda topic, ce_id: None
    ) -> None:
        self._ends: dict[str, str] = {} if before is None else orjson.loads(before)
        self._recorded = recorded
        self.moved = False

    def lose(self, topic: str) -> None:
        """Take note that a record may have been linked that cannot be made again: the end is unknown."""
        self._ends[topic] = LOST
        self.moved = True

    def linked(self, topic: str, content: Mapping[str, Any], ce_id: bytes = b"") -> dict[str, Any]:
        """Return the record with `previous` and `hash` at its end, now the chain's last."""
        end = self._ends.get(topic)
        record = {**content, "previous": self._recorded(topic, ce_id) if end == LOST else end}
        record["hash"] = self._ends[topic] = canonical_digest(record)
        self.moved = True
        return record

    @property
    def state(self) -> bytes:
        """The value under CHAIN_KEY from now on."""
        return orjson.dumps(self._ends)


def is_intact(raw: SourceRecord) -> bool:
    """Return whether a record of a chained topic, however it was read, carries the hash of what lies on the topic."""
    record = orjson.loads(stored_value(raw) or b"{}")
    return bool(link_hash(record) == record.get("hash"))


def link_hash(record: Mapping[str, Any]) -> str:
    """Return the hash that a record of a chained topic must carry.

    >>> first = Chains(None).linked("audits", {"audit_id": "a1"})
    >>> first["hash"] == link_hash(first), first["previous"]
    (True, None)
    """
    return canonical_digest({name: value for name, value in record.items() if name != "hash"})
