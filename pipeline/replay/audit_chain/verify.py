"""All chains over all partitions: fed record by record, then one report."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from endocrine.pipeline.replay.audit_chain.checkpoint import Book, pins_of
from endocrine.pipeline.replay.audit_chain.links import Break, Chain, NoLink, link_of
from endocrine.pipeline.replay.audit_chain.walk import Pin, Walk


@dataclass
class Report:
    """What was read, what is broken, and what was not checked."""

    records: int = 0
    copies: int = 0
    chains: int = 0
    checkpoints: int = 0
    """Those that count: of a given key, or all where no key was given."""
    signatures: int = 0
    """How many of their signatures were checked, and hold."""
    foreign: int = 0
    """Records without a seal of ours that no chain needs: a stranger's. They were left out."""
    findings: list[Break] = field(default_factory=list)
    """The first break of each chain, in the order of their append times."""
    not_checked: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.findings


class Verification:
    """Feed it every record of `audits` and `journal`, each partition in offset order, then `finish`."""

    def __init__(
        self,
        pins: Mapping[Chain, Iterable[Pin]],
        *,
        skipped: bool = False,
        restored_from: Collection[str] = (),
    ) -> None:
        """skipped: reading began at a checkpoint, not at the beginning. restored_from: digests of backups, which
        journals may begin after."""
        self._restored_from = restored_from
        self.walks: dict[Chain, Walk] = {}
        self.records = 0
        self.foreign = 0
        self.findings: list[Break] = []
        self._pins = {chain: list(found) for chain, found in pins.items()}
        self._next_offsets: dict[tuple[str, int], int] = {}
        self._whole: dict[tuple[str, int], bool] = {}
        self._skips: dict[tuple[str, int], dict[int, int]] = {}
        self._skipped = skipped

    def skip(self, place: tuple[str, int], first: int, after: int) -> None:
        """Note that from `first` up to `after` (exclusive) lie no records but what transactions leave. Before what
        follows it."""
        self._skips.setdefault(place, {})[first] = after

    def leave_out(self, topic: str, raw: Any) -> None:
        """Count a record that is not ours: no link, but it has its offset."""
        self._arrived(topic, raw)
        self.foreign += 1

    def feed(self, topic: str, raw: Any) -> None:
        """Verify one record."""
        self._arrived(topic, raw)
        self.records += 1
        try:
            chain, link = link_of(topic, raw)
        except NoLink as fault:
            self._fault(topic, raw, fault.finding)
            return
        self._walk(chain).feed(link)

    def _arrived(self, topic: str, raw: Any) -> None:
        place = topic, raw.partition
        if place not in self._whole:
            self._whole[place] = self._after_skips(place, 0) == raw.offset and not self._skipped
        due = self._after_skips(place, self._next_offsets.get(place, raw.offset))
        self._next_offsets[place] = raw.offset + 1
        if raw.offset != due:
            gap = f"offset {due}", f"offset {raw.offset}"
            detail = "records before it are missing"
            finding = Break(topic, raw.partition, raw.offset, None, detail, *gap, raw.timestamp)
            if topic == "audits":
                self._walk((topic, raw.partition, "")).fault(finding)
            else:  # of which agent they were is not known; its batch numbers will tell
                self.findings.append(finding)

    def finish(self, ends: Mapping[tuple[str, int], int]) -> None:
        """End: there are no more records. ends: by topic and partition, the offset that the next record gets."""
        for chain in self._pins:
            self._walk(chain)
        for (topic, partition, _), walk in self.walks.items():
            walk.finish(ends.get((topic, partition), self._next_offsets.get((topic, partition), 0)))
        self.findings += [walk.broken for walk in self.walks.values() if walk.broken]
        self.findings.sort(key=lambda found: (found.timestamp or float("inf"), found.topic, found.partition))

    def _after_skips(self, place: tuple[str, int], offset: int) -> int:
        skips = self._skips.get(place)
        while skips and offset in skips:
            offset = skips.pop(offset)
        return offset

    def _walk(self, chain: Chain) -> Walk:
        walk = self.walks.get(chain)
        if walk is None:
            whole = self._whole.get(chain[:2], False)
            walk = self.walks[chain] = Walk(
                chain, self._pins.get(chain, ()), whole=whole, restored_from=self._restored_from
            )
        return walk

    def _fault(self, topic: str, raw: Any, finding: Break) -> None:
        # A journal record that cannot be read is still known by its key, where that was left as it was.
        agent = "" if topic == "audits" else (raw.key or b"").decode("utf-8", "replace").rpartition("/")[0]
        if topic == "audits" or (topic, raw.partition, agent) in self.walks:
            self._walk((topic, raw.partition, agent)).fault(finding)
        else:
            self.findings.append(finding)


def report_of(book: Book, seen: Verification) -> Report:
    """Return the report of a finished verification against the checkpoints it was given."""
    walks = [seen.walks[chain] for chain in sorted(seen.walks)]
    report = Report(
        records=seen.records,
        foreign=seen.foreign,
        copies=sum(walk.copies for walk in walks),
        chains=sum(walk.first is not None for walk in walks),
        checkpoints=len(book.good),
        signatures=book.signed,
        findings=[*seen.findings, *book.findings],
    )
    if book.keys and not book.good:
        detail = "no checkpoint of the given keys is here: none was made, or all were removed"
        wanted = " or ".join(sorted(book.keys))
        report.findings.append(Break("checkpoints", 0, None, None, detail, f"checkpoints of key {wanted}", "none"))
    report.not_checked = [*_of_keys(book), *(line for walk in walks for line in _of_chain(walk))]
    if report.foreign:
        report.not_checked.append(f"{report.foreign} records without a seal of ours, which no chain needs: not ours")
    if report.records:
        report.not_checked.append("headers, and that decisions follow from their inputs: `endocrine replay verify`")
    return report


def of(records: Iterable[tuple[str, Any]], book: Book, ends: Mapping[tuple[str, int], int]) -> Report:
    """Return the report over records (topic, raw) that are at hand."""
    book.chained()
    seen = Verification(pins_of(book.good.values()))
    for topic, raw in records:
        seen.feed(topic, raw)
    seen.finish(ends)
    return report_of(book, seen)


def _of_keys(book: Book) -> list[str]:
    unchecked = []
    if not book.keys:
        if book.good:
            unchecked.append(
                f"signatures: no public key was given: the {len(book.good)} checkpoints may be anyone's (--public-key)"
            )
        else:
            unchecked.append("that ends were not cut off nor chains rewritten as a whole: there is no checkpoint")
    unchecked += [
        f"{count} checkpoints of key {key}, which was not given" for key, count in sorted(book.unknown.items())
    ]
    return unchecked


def _of_chain(walk: Walk) -> list[str]:
    topic, partition, agent = walk.chain
    named = f"{topic}/{partition}" + (f" of {agent}" if agent else "")
    unchecked = []
    if walk.begins_in_the_middle and walk.first is not None:
        anchored = "no checkpoint names what came before"
        if any(pin.hash == walk.first.previous for pin in walk.below):
            anchored = "a checkpoint names the one before it"
        elif walk.pinned is not None:
            anchored = "the earliest checkpoint above it vouches for it"
        unchecked.append(f"{named}: records before {walk.first.name} at offset {walk.first.offset}; {anchored}")
    if walk.below:
        unchecked.append(f"{named}: {len(walk.below)} checkpoints of records before the retained beginning")
    if walk.broken is not None:
        unchecked.append(f"{named}: what follows the break")
    elif walk.first is not None:
        open_end = walk.links - walk.pinned_at if walk.pinned else walk.links
        if open_end and (walk.pinned or walk.below):
            unchecked.append(f"{named}: {open_end} records after the last checkpoint are chained, not signed yet")
        elif open_end:
            unchecked.append(f"{named}: {open_end} records, chained, under no checkpoint")
    return unchecked
