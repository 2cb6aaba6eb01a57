"""Medians, percentiles and ratios."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

RATIOS = (
    "hot_vs_faust",
    "hot_vs_quix",
    "hot_vs_bare",
    "cold_vs_faust",
    "cold_vs_quix",
    "cold_vs_bare",
    "latency_p50_vs_echo",
    "latency_p99_vs_echo",
    "growth",
    "recovery_keys_per_s",
)
TARGETS: Mapping[str, tuple[str, float]] = {
    "hot_vs_faust": (">=", 20),
    "hot_vs_quix": (">=", 2),
    "hot_vs_bare": (">=", 0.8),
    "cold_vs_faust": (">=", 20),
    "cold_vs_quix": (">=", 2),
    "cold_vs_bare": (">=", 0.8),
    "latency_p50_vs_echo": ("<=", 2),
    "latency_p99_vs_echo": ("<=", 2),
    "growth": ("<=", 1.3),
    "recovery_keys_per_s": (">=", 100_000),
}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, of at least one value.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5), percentile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def met(name: str, value: float) -> bool:
    """Whether a ratio meets its target."""
    sign, target = TARGETS[name]
    return value >= target if sign == ">=" else value <= target


def ratios(measured: Mapping[str, Any]) -> dict[str, float | None]:
    """All ratios, of medians; None where a part was not measured.

    measured: `throughput` {workload: {competitor: [records/s, ...]}}, `latency` {competitor: [{p50_ms, p99_ms}, ...]},
    `growth` {few: [records/s], many: [records/s]}, `recovery` {keys_per_s: [...]}.
    """
    found: dict[str, float | None] = dict.fromkeys(RATIOS)
    for workload, by_competitor in measured.get("throughput", {}).items():
        for other in ("faust", "quix", "bare"):
            name = f"{workload}_vs_{other}"
            if name in found and by_competitor.get("endocrine") and by_competitor.get(other):
                found[name] = median(by_competitor["endocrine"]) / median(by_competitor[other])
    latency = measured.get("latency", {})
    if latency.get("endocrine") and latency.get("echo"):
        for which in ("p50", "p99"):
            ours, echo = (median(run[f"{which}_ms"] for run in latency[name]) for name in ("endocrine", "echo"))
            found[f"latency_{which}_vs_echo"] = ours / echo
    growth = measured.get("growth", {})
    if growth.get("few") and growth.get("many"):
        found["growth"] = median(growth["few"]) / median(growth["many"])
    if measured.get("recovery", {}).get("keys_per_s"):
        found["recovery_keys_per_s"] = median(measured["recovery"]["keys_per_s"])
    return {name: None if value is None else round(value, 3) for name, value in found.items()}
