"""Waits until no worker that runs the same agents in another consumer group is there.

Two groups would assign one agent's partitions twice, and the two processors would fence each other for ever. That is
safe, for only one of them ever writes, but both would mostly recover. So a deployment that changes between workers with
all agents and workers of roles hands over as a group does: the new ones begin when the old ones have left.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka.errors import KafkaError

from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.members import members_of
from endocrine.pipeline.process.settings import Settings

log = structlog.get_logger(__name__)
LOOK_S = 1.0
"""Seconds between looks."""
SAY_S = 10.0
"""Seconds between log events while it lasts."""


async def without_others(settings: Settings, groups: Sequence[str]) -> None:
    """Return once none of these consumer groups has a member; a broker that does not answer is asked again."""
    looks = 0
    while groups:
        try:
            there = await _with_members(settings, groups)
        except (KafkaError, TimeoutError) as error:
            there, why = list(groups), f"the broker does not say who is in them: {type(error).__name__}"
        else:
            why = "their workers run the same agents; this one begins when they have left"
        if not there:
            return
        if looks % int(SAY_S / LOOK_S) == 0:
            log.warning("waiting for other groups", groups=there, reason=why)
        looks += 1
        await asyncio.sleep(LOOK_S)


async def _with_members(settings: Settings, groups: Sequence[str]) -> list[str]:
    admin = admin_client(settings)
    try:
        await admin.start()
        known = {name for name, *_ in await admin.list_consumer_groups()}  # others have no coordinator to ask
        return [group for group in groups if group in known and await members_of(admin, group)]
    finally:
        await admin.close()
