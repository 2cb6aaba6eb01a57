"""Follows one chain, link by link, and names the first that does not hold.

Records are produced at least once, so a record may repeat one that came before, byte for byte: no break. Where
retention has taken the beginning, such copies may even repeat records that are gone; they are known by leading, link by
link, to one that is there. Where a link does not fit, what follows tells which of two neighbours was changed: the one
whose hash the next one or a checkpoint names is whole.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from endocrine.pipeline.replay.audit_chain.links import Break, Chain, Link

KEPT_LINKS = 1 << 18
"""Links of a chain whose copies are recognised: what is repeated is an outbox, a few thousand records back at most, or
what a paused worker produced late. About 300 bytes each."""


@dataclass(frozen=True)
class Pin:
    """A checkpoint's entry for a chain."""

    checkpoint: str
    """`key id/number`."""
    offset: int
    hash: str
    count: int
    """Records up to it, each once; in the journal the batch number."""


class Walk:
    """One chain. `feed` its links in offset order, then `finish`.

    whole: the topic still holds the partition's first record. pins: what checkpoints say of this chain. restored_from:
    digests of backups, which the first record of a chain may name in place of one before it.
    """

    def __init__(self, chain: Chain, pins: Iterable[Pin], *, whole: bool, restored_from: Collection[str] = ()) -> None:
        self.chain = chain
        self._restored_from = restored_from
        self.whole = whole
        self.links = 0
        """Records of the chain, each once."""
        self.copies = 0
        self.broken: Break | None = None
        self.first: Link | None = None
        self.tip: Link | None = None
        self.pinned: Pin | None = None
        """The last checkpoint that the chain was seen to pass through."""
        self.pinned_at = 0
        """`links` there."""
        self.below: list[Pin] = []
        """Pins on records that lie before what is retained."""
        self._pins = sorted(pins, key=lambda pin: pin.offset)
        self._next = 0
        self._base: int | None = None
        """Records before the first one here, as the pins count."""
        self._seen: OrderedDict[str, bytes] = OrderedDict()
        self._ids: dict[bytes, str] = {}
        self._aside: list[Link] = []
        """Links that do not follow the tip; each follows the one before it."""

    @property
    def count(self) -> int:
        """Records up to the tip, as the next pin counts them."""
        if self.tip is not None and self.tip.number is not None:
            return self.tip.number
        return (self._base or 0) + self.links

    @property
    def begins_in_the_middle(self) -> bool:
        """True where records before the first one here are gone."""
        return self.first is not None and self.first.previous is not None

    def fault(self, finding: Break) -> None:
        """Take in a record that claims this chain and is no link of it."""
        if self._aside:
            self._conclude()
        self.broken = self.broken or finding

    def feed(self, link: Link) -> None:
        """Take the next record of the chain."""
        if self.broken is not None:
            return
        if link.hash in self._seen:
            self._copy(link)
        elif (named := _short(link.id)) in self._ids:
            detail = "differs from an earlier record under the same id"
            self._break(link, detail, f"hash {self._ids[named]}", link.hash)
        elif self.tip is None:
            self._begin(link)
        elif self._aside:
            if not self._put_by(link):
                self._conclude()
        elif link.previous == self.tip.hash:
            self._extend(link)
        elif link.number is not None and link.number > (self.tip.number or 0) + 1:
            self._break(link, "batches before it are missing", f"batch {(self.tip.number or 0) + 1}", f"{link.number}")
        else:
            self._aside.append(link)
        self._check_pins(link)

    def finish(self, end: int) -> None:
        """End: there are no more records. end: the offset that the partition's next one gets."""
        if self.broken is None and self._aside:
            self._conclude()
        topic, partition, agent = self.chain
        start = self.first.offset if self.first else end
        for pin in self._pins[self._next :] if self.broken is None else ():
            if pin.offset < start and pin.offset < end:
                self.below.append(pin)
                continue
            named = f"of {agent} " if agent else ""
            last = "nothing" if self.tip is None else f"{self.tip.name} at offset {self.tip.offset} as the last"
            self.broken = Break(
                topic, partition, pin.offset, pin.checkpoint,
                f"the end was cut off: checkpoint {pin.checkpoint} names a record {named}here",
                f"hash {pin.hash}", last,
            )  # fmt: skip
            return

    def _put_by(self, link: Link) -> bool:
        """Whether it belongs to what is aside. Copies may themselves be repeated, or go further back."""
        follows = link.previous == self._aside[-1].hash
        if follows:
            self._aside.append(link)
        if not self.begins_in_the_middle:
            return False  # nothing is gone that could be repeated
        if follows:
            return True
        if link.hash == self._aside[0].previous:
            self._aside.insert(0, link)
            return True
        if any(known.hash == link.hash and known.content == link.content for known in self._aside):
            self.copies += 1
            return True
        return False

    def _begin(self, link: Link) -> None:
        if link.previous is not None and self.whole and link.previous not in self._restored_from:
            detail = "the chain's first record names one before it, and nothing was taken by retention"
            self._break(link, detail, "previous null", link.previous)
            return
        if link.previous is None and link.number not in (None, 1):
            self._break(link, "a chain begins here", "batch 1", f"batch {link.number}")
            return
        self.first = link
        if link.previous is None:
            self._base = 0
        self._extend(link)

    def _extend(self, link: Link) -> None:
        if link.number is not None and self.tip is not None and link.number != (self.tip.number or 0) + 1:
            self._break(link, "its number does not follow", f"batch {(self.tip.number or 0) + 1}", f"{link.number}")
            return
        self.links += 1
        self.tip = link
        self._keep(link)

    def _copy(self, link: Link) -> None:
        if self._seen[link.hash] != link.content:
            self._break(link, "repeats an earlier record in other bytes", "the same bytes", "others")
        elif not self._aside:
            self.copies += 1
        elif link.previous == self._aside[-1].hash:
            # What was aside repeats records from before the retained beginning: it leads to one that we know.
            for known in self._aside:
                self._keep(known)
            self.copies += 1 + len(self._aside)
            self._aside = []
        else:
            self._conclude()

    def _keep(self, link: Link) -> None:
        self._seen[link.hash] = link.content
        self._ids[_short(link.id)] = link.hash
        if len(self._seen) > KEPT_LINKS:
            self._seen.popitem(last=False)
            self._ids.pop(next(iter(self._ids)))

    def _conclude(self) -> None:
        """Which of two neighbours was changed, now that it is known whether another one follows."""
        odd, prior = self._aside[0], self.tip
        assert prior is not None
        vouched = any(pin.offset == odd.offset and pin.hash == odd.hash for pin in self._pins)
        if vouched or len(self._aside) > 1:
            detail = f"was changed, put in or cut out before {odd.name} at offset {odd.offset}, which is whole"
            self._break(prior, detail, f"hash {odd.previous}", prior.hash)
        else:
            detail = f"does not follow {prior.name} at offset {prior.offset} (one of the two was changed)"
            self._break(odd, detail, f"previous {prior.hash}", str(odd.previous))

    def _break(self, link: Link, detail: str, expected: str, found: str) -> None:
        topic, partition, _ = self.chain
        self.broken = Break(topic, partition, link.offset, link.name, detail, expected, found, link.timestamp)

    def _check_pins(self, link: Link) -> None:
        while self.broken is None and self._next < len(self._pins) and self._pins[self._next].offset <= link.offset:
            pin = self._pins[self._next]
            if pin.offset < link.offset:
                if self.first is not None and pin.offset < self.first.offset:
                    self.below.append(pin)
                    self._next += 1
                    continue
                detail = f"is not on the chain that checkpoint {pin.checkpoint} names at offset {pin.offset}"
                self._break(link, detail, f"hash {pin.hash} there", "no record of the chain there")
            elif pin.hash != link.hash:
                detail = f"is not what checkpoint {pin.checkpoint} saw: the chain was rewritten"
                self._break(link, detail, f"hash {pin.hash}", link.hash)
            elif not self._counted(pin, link):
                detail = f"is not as far along as checkpoint {pin.checkpoint} says"
                self._break(link, detail, f"record {pin.count} of the chain", f"record {self.count}")
            else:
                self.pinned, self.pinned_at = pin, self.links
                self._next += 1

    def _counted(self, pin: Pin, link: Link) -> bool:
        if self.tip is not link:
            return True  # a copy: its place in the chain was counted at its first
        if self._base is None and link.number is None:
            self._base = pin.count - self.links
        return self.count == pin.count


def _short(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
