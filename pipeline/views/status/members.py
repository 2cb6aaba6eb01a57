"""Which workers and connectors are members of the deployment's consumer groups."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.members import ASSIGNMENT, CLIENT_ID, HOST, MEMBER_ID, members_of
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.status.report import Member

TIMEOUT_S = 10.0


async def read_members(settings: Settings, groups: Sequence[str]) -> dict[str, list[Member]]:
    """Return the members of each group, in the order of their names; none where the group does not exist.

    Raises aiokafka's KafkaError when the broker does not answer, TimeoutError when it takes longer than ten seconds.
    """
    admin = admin_client(settings)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await admin.start()
            found: dict[str, list[Member]] = {group: [] for group in groups}
            # Only those that exist: a node that never had a group has no coordinator to ask.
            there = {name for name, _ in await admin.list_consumer_groups()}
            for group in [group for group in groups if group in there]:
                members = [_member(one) for one in await members_of(admin, group)]
                found[group] = sorted(members, key=lambda member: member.name)
            return found
    finally:
        await admin.close()


def _member(one: Any) -> Member:
    owned = ConsumerProtocolMemberAssignment.decode(one[ASSIGNMENT]).assignment if one[ASSIGNMENT] else ()
    numbers = {number for _, partitions in owned for number in partitions}
    return Member(one[CLIENT_ID] or one[MEMBER_ID], one[HOST].removeprefix("/"), sorted(numbers))
