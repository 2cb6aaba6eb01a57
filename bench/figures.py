"""Medians, percentiles and ratios."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.targets import TARGETS

Measured = Mapping[str, Any]
FULL_RATES = ("ideal", "ideal_fold", "bare")
PREFIX_RATES = ("faust", "faust_uvloop")
QUIX = ("quix", "quix_5s")


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, of at least one value.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5), percentile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def ratios(measured: Measured) -> dict[str, float | None]:
    """All ratios, of medians; None where a part was not measured.

    measured: `throughput` {hot, cold: {contender: [{rate, cpu_us, broker_us, bytes_in, bytes_out}, ...]}}, `million`
    and `two` alike, `latency` {contender or contender@1000: [{p50_ms, p99_ms, queue}, ...]}, `idle` [share of a core],
    `growth` {few: [records/s], ...}, `recovery` {keys_per_s: [...]}.
    """
    found: dict[str, float | None] = dict.fromkeys(TARGETS)
    for workload, runs in measured.get("throughput", {}).items():
        found |= _throughput(workload, runs)
    for workload, runs in measured.get("million", {}).items():
        found[f"{workload}_cpu_vs_bare"] = _ratio(cpu_of(runs, "endocrine"), cpu_of(runs, "bare"))
    for workload, runs in measured.get("two", {}).items():
        found[f"{workload}_two_workers"] = _ratio(rate_of(runs, "endocrine_two"), rate_of(runs, "endocrine"))
    found |= _latency(measured.get("latency", {}))
    if measured.get("idle"):
        found["idle_core_share"] = median(measured["idle"])
    growth = measured.get("growth", {})
    if growth.get("few") and growth.get("many"):
        found["growth"] = median(growth["few"]) / median(growth["many"])
        found["growth_same_traffic"] = median(growth["few_same_traffic"]) / median(growth["many_same_traffic"])
    if measured.get("recovery", {}).get("keys_per_s"):
        found["recovery_keys_per_s"] = median(measured["recovery"]["keys_per_s"])
    return {name: None if value is None else round(value, 4) for name, value in found.items()}


def _throughput(workload: str, runs: Measured) -> dict[str, float | None]:
    ours, prefix = rate_of(runs, "endocrine"), rate_of(runs, "endocrine_prefix")
    found = {f"{workload}_vs_{other}": _ratio(ours, rate_of(runs, other)) for other in FULL_RATES}
    found |= {f"{workload}_vs_{other}": _ratio(prefix, rate_of(runs, other)) for other in PREFIX_RATES}
    best = max((rate for rate in (rate_of(runs, name) for name in QUIX) if rate is not None), default=None)
    found[f"{workload}_vs_quix"] = _ratio(ours, best)
    found[f"{workload}_bytes_written"] = _ratio(
        middle(runs, "endocrine", "bytes_out"), middle(runs, "endocrine", "bytes_in")
    )
    return found


def _latency(runs: Measured) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for which in ("p50", "p99"):
        ours, echo = (middle(runs, name, f"{which}_ms") for name in ("endocrine", "echo_durable"))
        found[f"latency_{which}_vs_echo_durable"] = _ratio(ours, echo)
    found["latency_p99_ms"] = middle(runs, "endocrine", "p99_ms")
    found["latency_1000_queue"] = middle(runs, "endocrine@1000", "queue")
    found["latency_1000_p99_ms"] = middle(runs, "endocrine@1000", "p99_ms")
    return found


def middle(runs: Measured, name: str, figure: str) -> float | None:
    """The median of a figure of one contender's runs; None where there are none."""
    return median(run[figure] for run in runs[name]) if runs.get(name) else None


def rate_of(runs: Measured, name: str) -> float | None:
    """The median rate of a contender."""
    return middle(runs, name, "rate")


def cpu_of(runs: Measured, name: str) -> float | None:
    """The median of what a record costs a contender and the broker together, microseconds of processor time."""
    return median(run["cpu_us"] + run["broker_us"] for run in runs[name]) if runs.get(name) else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base
