"""A policy published on a running deployment: every worker follows it with no restart, and replay proves every byte."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.rollouts import KEY, TOPIC, rollouts_partition
from endocrine.pipeline.data.policy_rollout import canary, promote, publish, roll_back, roll_out
from endocrine.pipeline.kafka.policy_follower import read_rollouts
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_history
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Verifier
from endocrine.pipeline.runtime.worker.main import Worker
from needed import agents_named, needed_topics
from policies import policy_over
from running import worker_in_process
from waiting import until

pytestmark = pytest.mark.usefixtures("only_needed_topics")
AGENTS = agents_named("modulation", "gating")


class Deployment:
    """Workers, someone who opens turns, and someone who reads what was decided."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.settings, self.producer, self._consumer = settings, producer, consumer
        self.seals = load_seals(settings)
        self.decided: dict[str, dict[str, Any]] = {}
        self._asked = 0

    async def ask(self, count: int = 12) -> list[dict[str, Any]]:
        """The decisions of so many turns of identities of their own, once all are there."""
        ids = [f"t{self._asked + n}" for n in range(count)]
        self._asked += count
        for number, audit_id in enumerate(ids):
            opened = {"kind": "opened", "audit_id": audit_id, "identity": f"person-{number}", "session_id": "s",
                      "turn": self._asked, "client": "shell", "prompt": "Hello?", "ts": 1.0, "signals": []}  # fmt: skip
            await self.producer.send_and_wait(
                self.settings.prefix + "interactions", orjson.dumps(opened), key=opened["identity"].encode()
            )

        async def there() -> bool:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for raw in records:
                    value = orjson.loads(raw.value)
                    self.decided[value["audit_id"]] = value
            return self.decided.keys() >= set(ids)

        while not await there():
            pass
        return [self.decided[audit_id] for audit_id in ids]

    async def under(self) -> set[str]:
        """Digests that new turns are decided under."""
        return {one["policy"] for one in await self.ask()}

    async def roll_out(self, plan: Any) -> str | None:
        return (await roll_out(self.settings, self.seals, plan, by="op")).digest


@pytest.fixture
async def deployment(settings: Settings) -> AsyncIterator[Deployment]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await consumer.start()
    yield Deployment(settings, producer, consumer)
    await producer.stop()
    await consumer.stop()


def tempered(temperature: float) -> Policy:
    return policy_over({"defaults": {"temperature": temperature}})


def listening(deployment: Deployment) -> None:
    places = [TopicPartition(deployment.settings.prefix + "modulations", n) for n in range(2)]
    deployment._consumer.assign(places)
    for place in places:
        deployment._consumer.seek(place, 0)


async def followed(workers: list[Worker], digest: str | None) -> None:
    await until(lambda: all(worker.policy.digest == digest for worker in workers))


async def proved(settings: Settings) -> set[str]:
    """Replay everything, compare it byte by byte, and return the policies that batches were decided under."""
    topics = {topic.name.removeprefix(settings.prefix) for topic in needed_topics(settings, [a.name for a in AGENTS])}
    names = [topic for topic in sorted(topics) if not topic.startswith("changelog.")]
    logs = await read_history(settings, names, RecordedSeals(load_seals(settings)))
    report = Verifier(logs, PolicyHistory(logs), partitions=settings.partitions, sizes=settings.sizes).run(AGENTS)
    assert report.proved, {kind: found[:3] for kind, found in report.findings.items()}
    assert report.compared == report.equal > 0
    return {orjson.loads(raw.value)["policy"] for (topic, _), log in logs.items() if topic == "journal" for raw in log}


async def test_two_workers_switch_with_no_restart_and_replay_reproduces_every_byte(deployment: Deployment) -> None:
    settings, base = deployment.settings, shipped_policy()
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(worker_in_process(settings, AGENTS, base)),
            await stack.enter_async_context(worker_in_process(settings, AGENTS, base)),
        ]
        listening(deployment)
        await until(lambda: all(worker.manager and worker.manager.processors for worker in workers))
        assert await deployment.under() == {base.digest}
        before = [list(worker.manager.processors.values()) for worker in workers]

        first = await deployment.roll_out(publish(tempered(0.1)))
        await followed(workers, first)
        assert await deployment.under() == {first}
        assert deployment.decided["t12"]["parameters"]["temperature"] == 0.1

        second = await deployment.roll_out(canary(tempered(0.2), 0.5, base))
        await followed(workers, second)
        assert await deployment.under() == {first, tempered(0.2).digest}

        third = await deployment.roll_out(promote)
        assert third == tempered(0.2).digest
        await followed(workers, third)
        assert await deployment.under() == {third}
        assert [list(worker.manager.processors.values()) for worker in workers] == before

        late = await stack.enter_async_context(worker_in_process(settings, AGENTS, base))
        assert late.policy.digest == third
        assert late.follower.rollouts.number == 3
        workers.append(late)

        assert await deployment.roll_out(roll_back) == first
        await followed(workers, first)
        assert await deployment.under() == {first}
        assert await deployment.roll_out(roll_back) is None
        await followed(workers, base.digest)
        assert await deployment.under() == {base.digest}
    assert await proved(settings) == {base.digest, first, second, third}


async def test_nothing_that_a_stranger_appends_changes_the_policy(deployment: Deployment) -> None:
    settings, base = deployment.settings, shipped_policy()
    topic, place = settings.prefix + TOPIC, rollouts_partition(settings.partitions)
    async with worker_in_process(settings, AGENTS, base) as worker:
        listening(deployment)
        await deployment.roll_out(publish(tempered(0.1)))
        second = await deployment.roll_out(publish(tempered(0.2)))
        await followed([worker], second)
        loose = (await read_rollouts(settings, deployment.seals)).entries[0].model_dump() | {"number": 9}
        copied = await first_record(settings)
        strangers = [
            (KEY, orjson.dumps(loose), []),
            (KEY, orjson.dumps(loose), [("endocrine-seal", b"k:" + b"0" * 32)]),
            (KEY, orjson.dumps(loose), copied.headers),
            (KEY, copied.value, copied.headers),
            (KEY, None, []),
            (b"other", b"{", []),
        ]
        for key, value, headers in strangers:
            await deployment.producer.send_and_wait(topic, value, key=key, partition=place, headers=list(headers))
        await until(lambda: worker.follower.rollouts.ignored == len(strangers))
        assert await deployment.under() == {second}
    async with worker_in_process(settings, AGENTS, base) as worker:
        assert worker.policy.digest == second


async def first_record(settings: Settings) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        place = TopicPartition(settings.prefix + TOPIC, rollouts_partition(settings.partitions))
        consumer.assign([place])
        consumer.seek(place, 0)
        return await consumer.getone()
    finally:
        await consumer.stop()
