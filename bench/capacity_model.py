"""What so many events per second need: arithmetic on what one event costs, and what is assumed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any, NamedTuple

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.process.settings import Settings


@dataclass(frozen=True)
class Assumptions:
    """What was not measured here. Each is a number to replace by one's own."""

    use: float = 0.6
    """Share of a core, a disk or a network that is planned for; the rest is for peaks, restarts and compaction."""
    replication: int = 3
    broker_cores: int = 16
    broker_bytes_s: float = 400e6
    """Bytes per second that a broker writes and sends at most, whichever ends first: disk or a network of 10 Gbit/s."""
    broker_replicas: int = 4_000
    """Partition replicas of one broker."""
    group_members: int = 200
    """Workers of one group: each rebalance stops all of them, and the plan of who has what is made by one."""
    cell_brokers: int = 30
    """Brokers of one cluster that a team runs at ease."""
    spread: int = 2
    """Partitions for each worker, so that one more or less does not leave half of them idle."""


class Cost(NamedTuple):
    """Of one event, as measured."""

    rate: float
    """Events per second that one worker did, beside its broker on one machine; 0: not measured, by CPU alone."""
    cpu_us: float
    broker_us: float
    """Of one replica."""
    bytes_in: float
    bytes_out: float
    """0, where it was not measured."""


class Need(NamedTuple):
    """What a number of events per second needs, and what it runs into first in one cell."""

    workers: int
    partitions: int
    brokers: int
    bytes_s: float
    """Written per second, all replicas."""
    cells: int
    first: str
    """What one cell runs into first."""


def numbers(results: Mapping[str, Any]) -> dict[str, Any]:
    """What `make bench` keeps for this page, of its results: medians; parts that were not measured are left out."""
    measured = results["measured"]
    topics = len(physical_topics(Settings(), [agent.name for agent in AGENTS]))
    found: dict[str, Any] = {"machine": dict(results["machine"]), "repeats": results["repeats"], "topics": topics}
    for workload, runs in measured.get("throughput", {}).items():
        if ours := runs.get("endocrine"):
            found[workload] = {name: round(median(run[name] for run in ours), 2) for name in ours[0]}
    latency = measured.get("latency", {})
    if decided := latency.get("endocrine@1000"):
        found["decision"] = {
            name: round(median(run[name] for run in decided), 2) for name in Cost._fields if name in decided[0]
        }
    if at_200 := latency.get("endocrine"):
        found["decision_ms"] = {name: median(run[name] for run in at_200) for name in ("p50_ms", "p99_ms")}
    if measured.get("idle"):
        found["idle_core_share"] = median(measured["idle"])
    if memory := measured.get("memory"):
        found["bytes_per_key"] = memory["bytes_per_key"]
    if recovery := measured.get("recovery"):
        found["recovery_keys_per_s"] = median(recovery["keys_per_s"])
    return found


def cost_of(figures: Mapping[str, float]) -> Cost:
    """A load's cost; what was not measured of it is 0."""
    return Cost(*(float(figures.get(name, 0.0)) for name in Cost._fields))


def worker_rate(cost: Cost, given: Assumptions) -> float:
    """Events per second that are planned for one worker: by its core, or by what it did where that is less."""
    by_core = 1e6 / cost.cpu_us
    return given.use * (min(by_core, cost.rate) if cost.rate else by_core)


def need(events_s: float, cost: Cost, given: Assumptions, topics: int) -> Need:
    """What so many events need in all, and in how many cells. topics: of one cell, each with all partitions.

    A cell is a deployment of its own: topics, group, brokers. What it runs into first decides how much it takes.
    """
    each = worker_rate(cost, given)
    at_most = {
        f"workers: a group of {given.group_members}": given.group_members * each,
        f"partitions: {_most_partitions()} of a topic": _most_partitions() / given.spread * each,
        f"broker CPU: {given.cell_brokers} brokers": given.cell_brokers * _by_cpu(cost, given),
        f"broker disk and network: {given.cell_brokers} brokers": given.cell_brokers * _by_bytes(cost, given),
        f"partition replicas: {given.cell_brokers} brokers": each / given.spread * given.cell_brokers
        * given.broker_replicas / (topics * given.replication),
    }  # fmt: skip
    first = min(at_most, key=lambda name: at_most[name])
    cells = ceil(events_s / at_most[first])
    per_cell = events_s / cells
    workers = max(1, ceil(per_cell / each))
    partitions = max(4, given.spread * workers)
    brokers = max(
        given.replication,
        ceil(per_cell / _by_cpu(cost, given)),
        ceil(per_cell / _by_bytes(cost, given)),
        ceil(partitions * topics * given.replication / given.broker_replicas),
    )
    written = events_s * (cost.bytes_in + cost.bytes_out) * given.replication
    return Need(cells * workers, cells * partitions, cells * brokers, written, cells, first)


def _most_partitions() -> int:
    """The bound of the setting."""
    [bound] = [item.le for item in Settings.model_fields["partitions"].metadata if hasattr(item, "le")]
    return int(bound)


def _by_cpu(cost: Cost, given: Assumptions) -> float:
    """Events per second of one broker, by its cores: it holds its share of every replica."""
    return given.use * given.broker_cores * 1e6 / (cost.broker_us * given.replication)


def _by_bytes(cost: Cost, given: Assumptions) -> float:
    """The same by what it writes; without bound where bytes were not measured."""
    each = (cost.bytes_in + cost.bytes_out) * given.replication
    return given.use * given.broker_bytes_s / each if each else float("inf")
