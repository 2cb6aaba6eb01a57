"""What verification found, and what it was asked to look at."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters

KEPT = 1000
"""Sentences kept per kind of finding, and field differences; more are only counted."""


@dataclass(frozen=True)
class Scope:
    """What is to be verified. Times are the broker's append times of journal records, milliseconds since 1970."""

    since_ms: int | None = None
    """Batches journaled before are run for their state where no snapshot holds it, and not compared."""
    until_ms: int | None = None
    """Batches journaled after are left alone."""
    identity: str | None = None
    topics: frozenset[str] | None = None
    live_ms: int | None = None
    """Workers may be at work: what was appended from then on and is in no journal record yet is left to come."""

    def coming(self, timestamp: int) -> bool:
        """Return whether a record appended then may belong to a batch that is still being made."""
        return self.live_ms is not None and timestamp >= self.live_ms

    @property
    def whole(self) -> bool:
        """Nothing is filtered by record."""
        return self.identity is None and self.topics is None

    def wants(self, topic: str, key: bytes | None, headers: Mapping[str, bytes | None]) -> bool:
        """Return whether a record of our making is asked for."""
        if self.topics is not None and topic not in self.topics:
            return False
        if self.identity is None:
            return True
        subject = None if holds_dead_letters(topic) else headers.get("ce_subject")
        return (key if subject is None else subject) == self.identity.encode()


@dataclass
class Report:
    """What verification found. `findings` maps a kind to sentences; `proved`: whether all is well."""

    batches: int = 0
    """Batches made again."""
    records: int = 0
    """Records of our making on the topics within what was asked for, journal apart."""
    copies: int = 0
    """How many of them repeat an earlier one."""
    compared: int = 0
    """Records that the journaled batches say."""
    equal: int = 0
    outside: int = 0
    """Records of our making that were not asked for."""
    unread: int = 0
    """Inputs so young that the batches that read them may be still to come."""
    superseded: int = 0
    """Records that compaction has taken, while a later one of their key is there: what Kafka promises of such a
    topic."""
    erased: int = 0
    """Records that cannot be made again, as the key of the content that they were decided from was destroyed: neither
    a proof nor a finding."""
    findings: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """At most 1000 sentences of a kind; `counts` has all."""
    counts: dict[str, int] = field(default_factory=Counter)
    differences: list[dict[str, Any]] = field(default_factory=list)
    """Of records that are not as they must be: topic, partition, offset, id, unit, and `fields` with path, expected
    and found. At most 1000."""
    not_verifiable: dict[str, int] = field(default_factory=Counter)
    """Records that can be neither proved nor disproved, by the reason."""
    starts: dict[str, str] = field(default_factory=dict)
    """Where the state of each unit is from."""
    seals_checked: int | None = None
    """Seals held against their key; None: no key, so they were not checked."""
    seals_unknown: int = 0
    """Seals under keys that are not in the file."""
    seals_foreign: int = 0
    """Seals of tables, dead letters, the journal and policies that are none of ours: those records were left out."""

    @property
    def proved(self) -> bool:
        """Nothing was found, and everything asked for could be verified."""
        return not any(self.findings.values()) and not any(self.not_verifiable.values())

    @property
    def verified_nothing(self) -> bool:
        """Nothing was found, because no batch was made again and no record compared: that proves nothing."""
        return self.proved and not self.compared and not self.batches

    def find(self, kind: str, sentence: str) -> None:
        """Add a finding."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= KEPT:
            self.findings[kind].append(sentence)

    def differ(self, where: Mapping[str, Any], fields: list[dict[str, Any]]) -> None:
        """Add the differences of one record."""
        if len(self.differences) < KEPT:
            self.differences.append({**where, "fields": fields})

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "proved": self.proved and not self.verified_nothing,
            "nothing_to_verify": self.verified_nothing,
            "batches": self.batches,
            "records": self.records,
            "copies": self.copies,
            "compared": self.compared,
            "equal": self.equal,
            "different": self.counts.get("wrong", 0),
            "outside": self.outside,
            "unread": self.unread,
            "superseded": self.superseded,
            "erased": self.erased,
            "findings": {kind: list(sentences) for kind, sentences in self.findings.items() if sentences},
            "counts": dict(self.counts),
            "differences": list(self.differences),
            "not_verifiable": dict(self.not_verifiable),
            "starts": dict(self.starts),
            "seals_checked": self.seals_checked,
            "seals_unknown": self.seals_unknown,
            "seals_foreign": self.seals_foreign,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Report":
        """Return what `plain` gave."""
        report = cls(**{name: plain[name] for name in ("batches", "records", "copies", "compared", "equal")})
        report.outside, report.superseded, report.unread = plain["outside"], plain["superseded"], plain["unread"]
        report.erased = plain["erased"]
        report.findings.update({kind: list(sentences) for kind, sentences in plain["findings"].items()})
        report.counts.update(plain["counts"])
        report.differences.extend(plain["differences"])
        report.not_verifiable.update(plain["not_verifiable"])
        report.starts.update(plain["starts"])
        return report
