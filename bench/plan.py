"""What is run: how much of what, how often."""

from dataclasses import dataclass, replace

from bench.workload import Workload

COMPETITORS = ("endocrine", "faust", "quix", "bare")
PARTS = ("hot", "cold", "latency", "growth")
IDENTITIES = {"hot": 500, "cold": 20_000}


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    records: int
    """Of hot and cold."""
    faust_records: int
    """The same for stock Faust, which would take minutes for all: the first of the same records."""
    repeats: int
    parts: tuple[str, ...] = PARTS
    competitors: tuple[str, ...] = COMPETITORS
    latency_s: float = 10.0
    few: int = 1_000
    many: int = 1_000_000
    segment: int = 50_000
    """Records per timed segment of growth."""
    partitions: int = 4

    def workload(self, part: str, competitor: str) -> Workload:
        """What this competitor reads."""
        whole = Workload(part, IDENTITIES[part], self.records, partitions=self.partitions)
        return whole.cut(self.faust_records) if competitor == "faust" else whole

    def narrowed(self, parts: str, competitors: str, repeats: int, many: int = 0) -> "Plan":
        """Fewer parts and competitors (comma separated; empty: as they are), other numbers (0: as they are)."""
        return replace(
            self,
            parts=_chosen("part", parts, self.parts, PARTS),
            competitors=_chosen("competitor", competitors, self.competitors, COMPETITORS),
            repeats=repeats or self.repeats,
            many=many or self.many,
        )


def _chosen(kind: str, text: str, default: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"unknown {kind} {unknown[0]!r}; expected some of {', '.join(known)}")
    return tuple(name for name in known if name in chosen) or default


FULL = Plan(records=200_000, faust_records=20_000, repeats=5)
QUICK = Plan(records=60_000, faust_records=4_000, repeats=1, parts=("hot", "cold"))
