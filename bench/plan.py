"""What is run: how much of what, how often."""

from dataclasses import dataclass, replace

from bench.contenders import CONTENDERS, THROUGHPUT
from bench.workload import Workload

PARTS = ("hot", "cold", "latency", "idle", "growth", "million", "compression", "two")
IDENTITIES = {"hot": 500, "cold": 20_000}
FEWER = {"million": 3, "compression": 3, "two": 3, "idle": 3}
"""Parts that take long or vary little, and how often they are repeated at most."""
MILLION = ("endocrine", "bare")
COMPRESSED = ("endocrine", "ideal", "bare", "quix", "faust")
SMALL = ("endocrine", "ideal", "bare", "quix", "endocrine_prefix", "faust")


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    records: int
    """Of hot and cold."""
    prefix_records: int
    """The same for Faust, which would take minutes for all, and for us beside it: the first of the same records."""
    repeats: int
    parts: tuple[str, ...] = PARTS
    contenders: tuple[str, ...] = THROUGHPUT
    million: int = 1_000_000
    """Records of the part in which processor time is compared."""
    latency_s: float = 10.0
    idle_s: float = 20.0
    few: int = 1_000
    many: int = 1_000_000
    segment: int = 50_000
    """Records per timed segment of growth."""
    partitions: int = 4

    def workload(self, part: str, contender: str) -> Workload:
        """What this contender reads in hot or cold."""
        whole = Workload(part, IDENTITIES[part], self.records, partitions=self.partitions)
        return whole.cut(self.prefix_records) if CONTENDERS[contender].prefix else whole

    def repeats_of(self, part: str) -> int:
        """How often a part is run."""
        return min(self.repeats, FEWER.get(part, self.repeats))

    def narrowed(
        self, parts: str, contenders: str, repeats: int, many: int = 0, records: int = 0, seconds: float = 0
    ) -> "Plan":
        """Fewer parts and contenders (comma separated; empty: as they are), other numbers (0: as they are)."""
        return replace(
            self,
            parts=_chosen("part", parts, self.parts, PARTS),
            contenders=_chosen("contender", contenders, self.contenders, THROUGHPUT),
            repeats=repeats or self.repeats,
            many=many or self.many,
            latency_s=seconds or self.latency_s,
            records=records or self.records,
            prefix_records=min(self.prefix_records, records or self.records),
            million=min(self.million, 5 * records or self.million),
        )


def _chosen(kind: str, text: str, default: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"unknown {kind} {unknown[0]!r}; expected some of {', '.join(known)}")
    return tuple(name for name in known if name in chosen) or default


FULL = Plan(records=200_000, prefix_records=50_000, repeats=5)
QUICK = Plan(records=60_000, prefix_records=20_000, repeats=1, parts=("hot", "cold"), contenders=SMALL)
