"""What the projection's group needs of the broker, with plain consumers."""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

TAKEOVER_S = 10
"""Apache Kafka takes one heartbeat interval, 3.3 s."""


async def test_a_member_that_commits_while_another_leaves_takes_over_its_partitions(wire):
    topics = [await wire.topic(name) for name in "abcd"]
    members = [
        AIOKafkaConsumer(
            *topics,
            bootstrap_servers=wire.broker.bootstrap,
            group_id=f"{wire.prefix}group",
            enable_auto_commit=False,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_333,
        )
        for _ in range(2)
    ]
    leaves, stays = members
    await asyncio.gather(*(member.start() for member in members))

    async def commits(member):
        while True:
            await member.getmany(timeout_ms=50)
            with contextlib.suppress(KafkaError):
                await member.commit(dict.fromkeys(member.assignment(), 0))

    tasks = [asyncio.create_task(commits(member)) for member in members]
    try:
        async with asyncio.timeout(120):
            while {len(member.assignment()) for member in members} != {2}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        tasks[0].cancel()
        await leaves.stop()
        async with asyncio.timeout(TAKEOVER_S):
            while len(stays.assignment()) < len(topics):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stop = asyncio.create_task(stays.stop())
        await asyncio.wait({stop}, timeout=2)
        await stays._client.close()
