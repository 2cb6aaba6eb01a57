"""What was promised, beside what was measured; and whether something was lost tenfold."""

from collections.abc import Mapping
from typing import NamedTuple

LOSS = 10.0
"""A ratio that is worse by more than this than it was fails a short run: all else may be the machine."""


class Target(NamedTuple):
    """One row."""

    measure: str
    sign: str
    """`>=` or `<=`."""
    bound: float | None
    """None: shown without a target; `sign` says which way is better."""

    def met(self, value: float) -> bool | None:
        """Whether a value meets it; None where there is no bound.

        >>> Target("x", ">=", 2.0).met(2.0), Target("x", "<=", 2.0).met(2.1), Target("x", ">=", None).met(1.0)
        (True, False, None)
        """
        if self.bound is None:
            return None
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    @property
    def shown(self) -> str:
        """`>= 2`."""
        return "" if self.bound is None else f"{self.sign} {self.bound:,g}"


TARGETS: Mapping[str, Target] = {
    "hot_vs_ideal": Target("attribution hot: against ideal", ">=", 0.8),
    "cold_vs_ideal": Target("attribution cold: against ideal", ">=", 0.8),
    "hot_vs_ideal_fold": Target("hot: against ideal and the fold", ">=", None),
    "cold_vs_ideal_fold": Target("cold: against ideal and the fold", ">=", None),
    "hot_vs_bare": Target("hot: against the bare loop without durable state", ">=", 0.9),
    "cold_vs_bare": Target("cold: against the bare loop without durable state", ">=", 0.9),
    "hot_vs_quix": Target("hot: against Quix at its best setting", ">=", 2),
    "cold_vs_quix": Target("cold: against Quix at its best setting", ">=", 1.5),
    "hot_vs_faust": Target("hot: against stock Faust, the same first records", ">=", 20),
    "cold_vs_faust": Target("cold: against stock Faust, the same first records", ">=", 10),
    "hot_vs_faust_uvloop": Target("hot: against Faust on uvloop", ">=", None),
    "cold_vs_faust_uvloop": Target("cold: against Faust on uvloop", ">=", None),
    "latency_p50_vs_echo_durable": Target("decision at 200/s against echo_durable, p50", "<=", 2),
    "latency_p99_vs_echo_durable": Target("decision at 200/s against echo_durable, p99", "<=", 3),
    "latency_p99_ms": Target("decision at 200/s, p99, ms", "<=", 12),
    "latency_1000_queue": Target("decision at 1,000/s: median of the last quarter against the first", "<=", 1.5),
    "latency_1000_p99_ms": Target("decision at 1,000/s, p99, ms", "<=", 50),
    "cold_bytes_written": Target("bytes written per byte that came in, cold", "<=", 3.5),
    "hot_bytes_written": Target("bytes written per byte that came in, hot", "<=", None),
    "hot_cpu_vs_bare": Target("hot: worker and broker CPU per record, 10^6 records, with bare = 1", "<=", 1.35),
    "cold_cpu_vs_bare": Target("cold: worker and broker CPU per record, 10^6 records, with bare = 1", "<=", 0.81),
    "growth": Target("growth 10^3 to 10^6 identities", "<=", 1.3),
    "growth_same_traffic": Target("the same with traffic of 1,000 identities", "<=", 1.05),
    "idle_core_share": Target("idle worker, all roles, share of a core", "<=", 0.01),
    "recovery_keys_per_s": Target("recovery, keys per second", ">=", 100_000),
    "hot_two_workers": Target("hot: two workers on two sets of partitions, against one", ">=", None),
    "cold_two_workers": Target("cold: two workers on two sets of partitions, against one", ">=", None),
}


def lost(found: Mapping[str, float | None], before: Mapping[str, float | None]) -> list[str]:
    """Ratios that are worse than before by more than LOSS; without one before, than their target.

    >>> lost({"hot_vs_bare": 0.05}, {"hot_vs_bare": 0.58}), lost({"hot_vs_bare": 0.06}, {"hot_vs_bare": 0.58})
    (['hot_vs_bare'], [])
    """
    worse = []
    for name, value in found.items():
        target = TARGETS[name]
        was = before.get(name)
        expected = target.bound if was is None else was
        if value is None or expected is None:
            continue
        if value * LOSS < expected if target.sign == ">=" else value > expected * LOSS:
            worse.append(name)
    return worse
