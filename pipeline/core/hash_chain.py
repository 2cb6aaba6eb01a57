"""The hash chain of a topic: every record names the hash of the one before it on its partition.

The hash is SHA-256 over the record's canonical JSON (RFC 8785) without the field `hash` itself; `previous` is part of
it. The chain's end is stored with the states of the batch, so it is as sure as they are.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.agents.policy.digest import canonical_digest

CHAIN_KEY = ""
"""State key of the chains' ends. No agent's key is empty: identities have at least one character."""


class Chains:
    """The chains of one unit, by topic. before: the value under CHAIN_KEY."""

    def __init__(self, before: bytes | None) -> None:
        self._ends: dict[str, str] = {} if before is None else orjson.loads(before)
        self.moved = False

    def linked(self, topic: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record with `previous` and `hash` at its end, now the chain's last."""
        record = {**content, "previous": self._ends.get(topic)}
        record["hash"] = self._ends[topic] = canonical_digest(record)
        self.moved = True
        return record

    @property
    def state(self) -> bytes:
        """The value under CHAIN_KEY from now on."""
        return orjson.dumps(self._ends)


def link_hash(record: Mapping[str, Any]) -> str:
    """Return the hash that a record of a chained topic must carry.

    >>> first = Chains(None).linked("audits", {"audit_id": "a1"})
    >>> first["hash"] == link_hash(first), first["previous"]
    (True, None)
    """
    return canonical_digest({name: value for name, value in record.items() if name != "hash"})
