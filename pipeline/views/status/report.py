"""The status of a deployment as lines: workers with their roles, lag per agent, the last incident. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.views.status.lag import LagRow
from endocrine.pipeline.views.text_width import clean
from endocrine.schemas.tools import Incident


class Member(NamedTuple):
    """A member of a consumer group: one worker process in one role."""

    name: str
    """Client id, or the name of a static member."""
    host: str
    partitions: Sequence[int]
    """Partition numbers that it owns."""


def role_of(group: str, member_group: str) -> str:
    """Return the role that a group's name says: `<group>.decide` is `decide`, the group itself `all`.

    >>> role_of("endocrine", "endocrine.decide"), role_of("endocrine", "endocrine")
    ('decide', 'all')
    """
    return member_group.removeprefix(group).removeprefix(".") or "all"


def status_lines(
    group: str,
    members: Mapping[str, Iterable[Member]],
    lag: Iterable[LagRow],
    last_incident: tuple[float, Incident] | None,
    partitions: int,
) -> list[str]:
    """Return the report.

    group: of the deployment. members: by consumer group, that of the deployment and those of its roles. lag: as
    `read_lag` gives it. last_incident: append time (seconds since 1970) and the incident; None: no incident.
    partitions: of every topic; those that nobody owns are named.
    """
    return [*worker_lines(group, members, partitions), *map(clean, [*_lag(lag), _last(last_incident)])]


def worker_lines(group: str, members: Mapping[str, Iterable[Member]], partitions: int) -> list[str]:
    """Return the part of `status_lines` that needs no topics."""
    lines = []
    for name, found in sorted(members.items()):
        role, workers = role_of(group, name), list(found)
        owned = {number for worker in workers for number in worker.partitions}
        for worker in workers:
            numbers = ", ".join(map(str, sorted(worker.partitions))) or "none"
            lines.append(f"worker   {worker.name} at {worker.host}: role {role}, partitions {numbers}")
        orphans = sorted(set(range(partitions)) - owned)
        if not workers:
            lines.append(f"worker   none in role {role}")
        elif orphans:
            lines.append(f"worker   role {role}: nobody owns partitions {', '.join(map(str, orphans))}")
    return [clean(line) for line in lines or ["worker   none"]]


def _lag(rows: Iterable[LagRow]) -> list[str]:
    per_agent: Counter[str] = Counter()
    for row in rows:
        per_agent[row.agent] += row.lag
    behind = [f"{agent} {count}" for agent, count in per_agent.items() if count]
    return [f"lag      {', '.join(behind)}" if behind else "lag      0: every agent has read all there is"]


def _last(last: tuple[float, Incident] | None) -> str:
    if last is None:
        return "incident none"
    at, incident = last
    attempted = f" {incident.attempted}" if incident.attempted else ""
    return f"incident {show_time(at)} {incident.kind}{attempted} of {incident.identity}: {incident.reason}"
