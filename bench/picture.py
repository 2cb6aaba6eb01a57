"""The run as a picture: throughput per competitor, latency, and what more identities cost."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.contenders import labelled

OURS, OTHERS = "#1b6e53", "#7d8b99"


def _colour(name: str) -> str:
    return OURS if name.startswith("endocrine") else OTHERS


def draw(results: Mapping[str, Any], target: Path) -> None:
    """Write a PNG of what was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = results["measured"]
    panels: list[tuple[Any, tuple[Any, ...]]] = [
        (_bars, (name, rates)) for name, rates in measured.get("throughput", {}).items()
    ]
    if measured.get("latency"):
        panels.append((_latency, (measured["latency"],)))
    if measured.get("growth"):
        panels.append((_growth, (measured["growth"],)))
    if not panels:
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.2 * len(panels), 3.4), squeeze=False)
    for axis, (paint, given) in zip(axes[0], panels, strict=True):
        paint(axis, *given)
        axis.spines[["top", "right"]].set_visible(False)
    machine = results["machine"]
    figure.suptitle(f"{machine['broker']}, {machine['cpu']}, {machine['cores']} cores", fontsize=9, color="#555")
    figure.tight_layout()
    figure.savefig(target, dpi=140)
    pyplot.close(figure)


def _bars(axis: Any, workload: str, by_contender: Mapping[str, list[dict[str, float]]]) -> None:
    names = [name for name in by_contender if by_contender[name]]
    values = [median(run["rate"] for run in by_contender[name]) for name in names]
    bars = axis.barh([labelled(name) for name in names], values, color=[_colour(name) for name in names])
    axis.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.set_xlim(0, max(values) * 1.25)
    axis.set_title(f"{workload}, records/s", fontsize=10)


def _latency(axis: Any, latency: Mapping[str, Any]) -> None:
    slow = {name: runs for name, runs in latency.items() if "@" not in name}
    for number, (name, runs) in enumerate(slow.items()):
        values = [median(run[f"{which}_ms"] for run in runs) for which in ("p50", "p99")]
        places = [place + 0.27 * number for place in range(2)]
        bars = axis.bar(places, values, width=0.25, color=_colour(name), label=labelled(name))
        axis.bar_label(bars, [f"{value:.1f}" for value in values], padding=2, fontsize=8)
    axis.set_xticks([0.27, 1.27], ["p50", "p99"])
    axis.set_title("decision at 200/s, ms", fontsize=10)
    axis.legend(fontsize=8, frameon=False)


def _growth(axis: Any, growth: Mapping[str, Any]) -> None:
    counts = [growth["few_identities"], growth["many_identities"]]
    for label, few, many in (
        ("records of all of them", "few", "many"),
        ("records of 1,000 of them", "few_same_traffic", "many_same_traffic"),
    ):
        axis.plot(counts, [1e6 / median(growth[few]), 1e6 / median(growth[many])], marker="o", label=label)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_title("µs per record by identities held", fontsize=10)
    axis.legend(fontsize=8, frameon=False)
