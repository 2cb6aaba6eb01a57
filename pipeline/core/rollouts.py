"""Which policy is in force: the rollouts that count, from the records of topic `policy-rollouts`. Pure.

Kafka lets whoever may write a topic write anything to it, and what is here decides which policy everybody is decided
under. So a record counts only if it is sealed under our key, lies under our key of the topic, holds the document that
its digest names, and has a number above every one before it. Any other record is ignored, and so is a
sealed one that somebody appends again: it cannot take a policy back to an earlier one. Of two rollouts under one
number, which two operators made at once, the first counts; the second one's author finds that out (data/policy).
"""

from collections.abc import Iterable

import rfc8785
from pydantic import ValidationError

from endocrine.agents.policy.digest import canonical_digest
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import SourceRecord
from endocrine.pipeline.core.seals import Seals
from endocrine.schemas.rollouts import PolicyRollout

TOPIC = "policy-rollouts"
KEY = b"policy"
"""Of every record, so that they have one order."""


def rollouts_partition(partitions: int) -> int:
    """Return the partition that holds every rollout."""
    return partition_of(KEY.decode(), partitions)


class Rollouts:
    """The rollouts that count, in their order; records are added in the order of the topic.

    ignored: the number of records that did not count.
    """

    def __init__(self, seals: Seals) -> None:
        self.entries: list[PolicyRollout] = []
        self.ignored = 0
        self._seals = seals

    def add(self, raw: SourceRecord) -> bool:
        """Add a record; return whether it counts."""
        entry = self._read(raw)
        if entry is None:
            self.ignored += 1
            return False
        self.entries.append(entry)
        return True

    def _read(self, raw: SourceRecord) -> PolicyRollout | None:
        if raw.value is None or raw.key != KEY or not self._seals.valid(TOPIC, raw, dict(raw.headers)):
            return None
        try:
            entry = PolicyRollout.model_validate_json(raw.value)
            made = None if entry.policy is None else canonical_digest(entry.policy)
        except (ValidationError, rfc8785.CanonicalizationError):
            return None  # sealed, so ours: of another version of the code
        if made != entry.digest or (made is None and entry.kind != "rollback") or entry.number <= self.number:
            return None
        return entry

    @property
    def number(self) -> int:
        """Number of the rollout in force; 0: none was ever made."""
        return self.entries[-1].number if self.entries else 0

    @property
    def digest(self) -> str | None:
        """Digest of the policy in force; None: each process goes by its settings."""
        return self.entries[-1].digest if self.entries else None

    def standing(self) -> list[PolicyRollout]:
        """Return the rollouts that are not taken back, the one in force last; each is what a rollback of the one after
        it restores. A canary ends with whatever follows it."""
        return standing(self.entries)


def standing(entries: Iterable[PolicyRollout]) -> list[PolicyRollout]:
    """Return the same of a list of rollouts."""
    left: list[PolicyRollout] = []
    for entry in entries:
        if entry.kind == "rollback":
            del left[-1:]
            continue
        if left and left[-1].kind == "canary":
            left.pop()
        left.append(entry)
    return left
