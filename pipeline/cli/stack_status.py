"""What `endocrine status` and `endocrine up` print, one line a part."""

import asyncio
from pathlib import Path

from endocrine.pipeline.local.jars import kafka_version
from endocrine.pipeline.local.stack import running
from endocrine.pipeline.process.settings import Settings


def report(data_dir: Path) -> list[str]:
    """Return the stack of this folder: what runs where, what to set so that others use it; empty when none runs."""
    found = running(data_dir)
    if found is None:
        return []
    ends = "stays until `endocrine down`" if found.stays else "ends with the command that started it"
    lines = [f"local stack   {data_dir.absolute()}, {ends}"]
    if found.bootstrap:
        lines.append(f"Kafka {kafka_version():<7} {found.bootstrap} (process {found.pids['kafka']})")
    if found.redis_url:
        lines.append(f"Valkey        {found.redis_url} (process {found.pids['valkey']})")
    return lines


async def deployment(settings: Settings) -> list[str]:
    """Return workers, lag and the last incident of the deployment on a broker. Raises as the readers of these do."""
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
    from endocrine.pipeline.views.status.incidents import read_incidents
    from endocrine.pipeline.views.status.lag import read_lag
    from endocrine.pipeline.views.status.members import read_members
    from endocrine.pipeline.views.status.presence import PARTS, WORKER_ROLES
    from endocrine.pipeline.views.status.report import status_lines, worker_lines

    suffixes = [*WORKER_ROLES, *(part.suffix for part in PARTS)]
    members = await read_members(settings, [settings.group + suffix for suffix in suffixes])
    here = {name: found for name, found in members.items() if found or name == settings.group}
    if any(members[settings.group + role] for role in WORKER_ROLES):
        here.pop(settings.group, None)
    try:
        lag, incidents = await asyncio.gather(read_lag(settings, AGENTS), read_incidents(settings, most=1))
    except NoSuchTopic:
        return [*worker_lines(settings.group, here, settings.partitions), "topics   none yet"]
    last = incidents.newest[0] if incidents.newest else None
    return status_lines(settings.group, here, lag, last, settings.partitions)
