"""What a run prints: tables of figures, ratios beside their targets, and the machine."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import TARGETS, met
from bench.profiling import Heavy

NAMES = {
    "endocrine": "Endocrine",
    "faust": "stock Faust",
    "quix": "Quix Streams",
    "bare": "bare loop, state in a dict",
    "echo": "bare echo",
}


QUIET = 0.05
"""Share of the machine that others may take before figures are worth less."""


def report(console: Console, results: Mapping[str, Any]) -> None:
    """Everything that was measured."""
    measured = results["measured"]
    if measured.get("throughput"):
        console.print(_throughput(measured, results["records"]))
    if measured.get("latency"):
        console.print(_latency(measured["latency"]))
    if measured.get("growth"):
        console.print(_growth(measured["growth"], measured.get("recovery", {}), measured.get("memory", {})))
    console.print(_ratios(results["ratios"]))
    console.print("[bold]machine[/] " + ", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    if (elsewhere := results["machine"]["busy_elsewhere"]) > QUIET:
        console.print(
            f"[yellow]other processes took {elsewhere:.0%} of this machine meanwhile: figures are too low and their "
            "ratios rough; run it on an idle machine[/]"
        )
    console.print(f"took {results['took_s']:.0f} s; medians of {results['repeats']}")


def _spread(values: list[float]) -> str:
    return f"\n[dim]{min(values):,.0f} to {max(values):,.0f}[/]" if len(values) > 1 else ""


def _throughput(measured: Mapping[str, Any], records: Mapping[str, int]) -> Table:
    throughput, cpu = measured["throughput"], measured["cpu_us_per_record"]
    table = Table(title="the same fold over the same records: records/s, and processor time of each")
    table.add_column("competitor", min_width=26)
    for workload in throughput:
        table.add_column(workload, justify="right")
        table.add_column("cpu us", justify="right", style="dim")
    table.add_column("records", justify="right", style="dim")
    for name in {name: None for by_competitor in throughput.values() for name in by_competitor}:
        row = [NAMES[name]]
        for workload, by_competitor in throughput.items():
            rates = by_competitor.get(name)
            row += (
                [f"{median(rates):,.0f}{_spread(rates)}", f"{median(cpu[workload][name]):.1f}"] if rates else ["", ""]
            )
        table.add_row(*row, f"{records[name]:,}")
    return table


def _latency(latency: Mapping[str, Any]) -> Table:
    table = Table(title="a tool call's decision through Kafka, 200 calls/s, ms")
    table.add_column("competitor")
    for which in ("p50_ms", "p90_ms", "p99_ms", "max_ms"):
        table.add_column(which.removesuffix("_ms"), justify="right")
    for name, runs in latency.items():
        shares = [f"{median(run[which] for run in runs):.2f}" for which in ("p50_ms", "p90_ms", "p99_ms", "max_ms")]
        table.add_row(NAMES[name], *shares)
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


def _ratios(ratios: Mapping[str, float | None]) -> Table:
    table = Table(title="ratios")
    table.add_column("ratio")
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for name, value in ratios.items():
        if value is not None:
            sign, target = TARGETS[name]
            verdict = "[green]met[/]" if met(name, value) else "[red]not met[/]"
            table.add_row(name, f"{value:,.2f}", f"{sign} {target:,g}", verdict)
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
