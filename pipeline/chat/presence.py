"""Who must be there for a turn to be answered: workers and connectors, by the members of their consumer groups."""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient

from pipeline.settings import Settings

_GROUP, _MEMBERS = 1, 5
"""Places in aiokafka's answer to DescribeGroups."""


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
WORKER_ROLES = (".decide", ".record")
"""Groups of workers that run in one role each."""


async def group_members(settings: Settings) -> dict[str, int]:
    """Members by group of this deployment. Raises aiokafka's KafkaError when the broker does not answer."""
    suffixes = [part.suffix for part in PARTS] + list(WORKER_ROLES)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        # One by one: aiokafka cannot read an answer about several groups (DescribeGroups v3).
        asked = [await admin.describe_consumer_groups([settings.group + suffix]) for suffix in suffixes]
    finally:
        await admin.close()
    return {found[_GROUP]: len(found[_MEMBERS]) for answers in asked for answer in answers for found in answer.groups}


def missing_parts(group: str, members: Mapping[str, int]) -> list[str]:
    """A line for each part that has no member, with what that means and what starts it. Pure."""
    lines = []
    for part in PARTS:
        groups = [group + part.suffix] + ([group + role for role in WORKER_ROLES] if not part.suffix else [])
        if not any(members.get(name, 0) for name in groups):
            lines.append(f"no {part.name} is running, so {part.without}; start it: {part.start}")
    return lines
