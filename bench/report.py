"""What a run prints: tables of figures, ratios beside their targets, and the machine."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contenders import labelled
from bench.profiling import Heavy
from bench.targets import TARGETS

QUIET = 0.05
"""Share of the machine that others may take before figures are worth less."""
TITLES = {
    "throughput": "the same fold over the same records",
    "compression": "the same with compression of what is written",
    "million": "10^6 records: processor time",
    "two": "two workers on two sets of partitions of their own",
}
FIGURES = ("cpu_us", "broker_us", "bytes_in", "bytes_out")
PERCENTILES = ("p50_ms", "p90_ms", "p99_ms", "max_ms", "queue")


def report(console: Console, results: Mapping[str, Any]) -> None:
    """Everything that was measured."""
    measured = results["measured"]
    for kind, title in TITLES.items():
        for workload, runs in measured.get(kind, {}).items():
            console.print(_throughput(f"{title}: {workload}", runs))
    if measured.get("latency"):
        console.print(_latency(measured["latency"]))
    if measured.get("growth"):
        console.print(_growth(measured["growth"], measured.get("recovery", {}), measured.get("memory", {})))
    console.print(targets_table(results["ratios"]))
    console.print("[bold]machine[/] " + ", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    if (elsewhere := results["machine"]["busy_elsewhere"]) > QUIET:
        console.print(
            f"[yellow]other processes took {elsewhere:.0%} of this machine meanwhile: figures are too low and their "
            "ratios rough; run it on an idle machine[/]"
        )
    console.print(f"took {results['took_s']:.0f} s; medians of {results['repeats']}")


def _throughput(title: str, runs: Mapping[str, Any]) -> Table:
    table = Table(title=title)
    table.add_column("contender", min_width=26)
    table.add_column("records/s", justify="right")
    for heading in ("cpu us", "broker us", "bytes in", "bytes out"):
        table.add_column(heading, justify="right", style="dim")
    for name, found in runs.items():
        rates = [run["rate"] for run in found]
        spread = f"\n[dim]{min(rates):,.0f} to {max(rates):,.0f}[/]" if len(rates) > 1 else ""
        figures = [f"{median(run[figure] for run in found):,.1f}" for figure in FIGURES]
        label = "two of Endocrine" if name == "endocrine_two" else labelled(name)
        table.add_row(label, f"{median(rates):,.0f}{spread}", *figures)
    return table


def _latency(latency: Mapping[str, Any]) -> Table:
    table = Table(title="a tool call's decision through Kafka, ms")
    table.add_column("contender")
    table.add_column("calls/s", justify="right")
    for which in PERCENTILES:
        table.add_column("queue grew" if which == "queue" else which.removesuffix("_ms"), justify="right")
    for name, runs in latency.items():
        who, _, rate = name.partition("@")
        table.add_row(
            labelled(who), rate or "200", *(f"{median(run[which] for run in runs):.2f}" for which in PERCENTILES)
        )
    return table


def _growth(growth: Mapping[str, Any], recovery: Mapping[str, Any], memory: Mapping[str, Any]) -> Table:
    table = Table(title="ever more identities")
    table.add_column("measure")
    table.add_column("value", justify="right")
    few, many = growth["few_identities"], growth["many_identities"]
    table.add_row(f"records/s, {few:,} identities", f"{median(growth['few']):,.0f}")
    table.add_row(f"records/s, {many:,} identities", f"{median(growth['many']):,.0f}")
    table.add_row(f"records/s of 1,000 identities, {few:,} held", f"{median(growth['few_same_traffic']):,.0f}")
    table.add_row(f"records/s of 1,000 identities, {many:,} held", f"{median(growth['many_same_traffic']):,.0f}")
    if recovery:
        table.add_row(f"recovery of {recovery['keys']:,} keys, s", f"{median(recovery['seconds']):.1f}")
    if memory:
        table.add_row("resident memory per key, bytes", f"{memory['bytes_per_key']:,.0f}")
    return table


def targets_table(ratios: Mapping[str, float | None]) -> Table:
    """Every target with what was measured beside it."""
    table = Table(title="targets")
    table.add_column("measure")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for name, target in TARGETS.items():
        value = ratios.get(name)
        if value is None:
            if target.bound is not None:
                table.add_row(target.measure, "", target.shown, "[dim]not measured[/]")
            continue
        verdict = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}[target.met(value)]
        table.add_row(target.measure, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", target.shown, verdict)
    return table


def profile_table(title: str, heavy: list[Heavy]) -> Table:
    """Where the time of a worker goes."""
    table = Table(title=title)
    table.add_column("own %", justify="right")
    table.add_column("with callees %", justify="right")
    table.add_column("function")
    for one in heavy:
        table.add_row(f"{100 * one.own:.1f}", f"{100 * one.whole:.1f}", one.function)
    return table
