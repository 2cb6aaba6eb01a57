"""The members of a consumer group, and how to take out dead ones.

Kafka waits for a member that was killed until its session runs out, ten seconds. Whoever knows that no member is alive
leaves on their behalf, and a worker that is started again has its partitions at once.
"""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.group import LeaveGroupRequest

from endocrine.pipeline.kafka.connection import admin_client, plain_client
from endocrine.pipeline.process.settings import Settings

COORDINATOR_S = 10.0
"""Seconds; a node that has just started first makes, or reads, the topic of the groups."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
"""Between questions: a broker without the topic of the groups tries to make it at each of them."""
MEMBER_ID, CLIENT_ID, HOST, ASSIGNMENT, _MEMBERS = 0, 1, 2, 4, 5
"""Places in aiokafka's answer to DescribeGroups."""


async def members_of(admin: AIOKafkaAdminClient, group: str) -> list[Any]:
    """Return the members of one group, as aiokafka describes them. Raises aiokafka's KafkaError.

    One group at a time: aiokafka cannot read an answer about several (DescribeGroups v3).
    """
    answers = await admin.describe_consumer_groups([group])
    return [member for answer in answers for described in answer.groups for member in described[_MEMBERS]]


async def evict(settings: Settings, group: str) -> int:
    """Make every member of this group leave it; return their number. Only call it when none of them lives.

    Raises aiokafka's KafkaError when the broker does not answer, or has no coordinator within COORDINATOR_S.
    """
    admin = admin_client(settings)
    client = plain_client(settings)
    try:
        await admin.start()
        await client.bootstrap()
        coordinator = await _coordinator(admin, group)
        members = [member[MEMBER_ID] for member in await members_of(admin, group)]
        for member in members:
            await client.send(coordinator, LeaveGroupRequest(group, member))
        return len(members)
    finally:
        await client.close()
        await admin.close()


async def _coordinator(admin: AIOKafkaAdminClient, group: str) -> int:
    pause_s = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(COORDINATOR_S):
            while True:
                try:
                    return int(await admin.find_coordinator(group))
                except GroupCoordinatorNotAvailableError:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    except TimeoutError:
        raise GroupCoordinatorNotAvailableError(f"group {group} after {COORDINATOR_S:.0f} s") from None
