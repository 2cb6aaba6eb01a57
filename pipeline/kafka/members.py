"""Take dead members out of a consumer group.

Kafka waits for a member that was killed until its session runs out, ten seconds. Whoever knows that no member is alive
leaves on their behalf, and a worker that is started again has its partitions at once.
"""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.group import LeaveGroupRequest

COORDINATOR_S = 10.0
"""Seconds; a node that has just started first makes, or reads, the topic of the groups."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
"""Between questions: a broker without the topic of the groups tries to make it at each of them."""
_MEMBERS = 5
_MEMBER_ID = 0


async def evict(bootstrap: str, group: str) -> int:
    """Make every member of this group leave it; returns how many there were. Only call it when none of them lives.

    Raises aiokafka's KafkaError when the broker does not answer, or has no coordinator within COORDINATOR_S.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        await client.bootstrap()
        coordinator = await _coordinator(admin, group)
        answers = await admin.describe_consumer_groups([group])
        members = [member[_MEMBER_ID] for answer in answers for found in answer.groups for member in found[_MEMBERS]]
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
