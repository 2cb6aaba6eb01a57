"""Who must be there for a turn to be answered: workers and connectors, by the members of their consumer groups."""

from collections.abc import Mapping
from typing import NamedTuple

from endocrine.pipeline.process.roles import PARTS as ROLES
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.status.members import read_members


class Part(NamedTuple):
    """A part that is asked for, by its group."""

    suffix: str
    name: str
    without: str
    start: str


PARTS = (
    Part("", "worker", "nothing is decided", "endocrine worker"),
    Part(".model", "model connector", "no turn is answered before its deadline", "endocrine connect model"),
    Part(".tools", "tool connector", "an allowed tool call gets no result", "endocrine connect tools"),
    Part(".timekeeper", "timekeeper", "a turn whose deadline passes is not ended", "endocrine connect timekeeper"),
)
WORKER_ROLES = tuple(f".{role}" for role in ROLES)
"""Groups of workers that run in one role each."""


async def group_members(settings: Settings) -> dict[str, int]:
    """Return members by group of this deployment. Raises as `endocrine.pipeline.views.status.members.read_members`
    does."""
    suffixes = [part.suffix for part in PARTS] + list(WORKER_ROLES)
    found = await read_members(settings, [settings.group + suffix for suffix in suffixes])
    return {group: len(members) for group, members in found.items()}


def missing_parts(group: str, members: Mapping[str, int]) -> list[str]:
    """Return a line for each part that has no member, with what that means and what starts it. Pure."""
    lines = []
    for part in PARTS:
        groups = [group + part.suffix] + ([group + role for role in WORKER_ROLES] if not part.suffix else [])
        if not any(members.get(name, 0) for name in groups):
            lines.append(f"no {part.name} is running, so {part.without}; start it: {part.start}")
    return lines
