"""Take dead members out of a consumer group.

The embedded broker never expires a member that was killed (architecture, section 9), so a group with one would wait for
it for ever. Whoever knows that no member is alive says so on their behalf; Kafka itself does it after the session
timeout.
"""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.group import LeaveGroupRequest

_MEMBERS = 5
_MEMBER_ID = 0


async def evict(bootstrap: str, group: str) -> int:
    """Make every member of this group leave it; returns how many there were. Only call it when none of them lives.

    Raises aiokafka's KafkaError when the broker does not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        await client.bootstrap()
        coordinator = await admin.find_coordinator(group)
        answers = await admin.describe_consumer_groups([group])
        members = [member[_MEMBER_ID] for answer in answers for found in answer.groups for member in found[_MEMBERS]]
        for member in members:
            await client.send(coordinator, LeaveGroupRequest(group, member))
        return len(members)
    finally:
        await client.close()
        await admin.close()
