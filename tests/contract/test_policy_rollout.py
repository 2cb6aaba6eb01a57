"""A policy published on a running deployment: every worker follows it with no restart, and replay proves every byte."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from typer.testing import CliRunner

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.registry import AGENTS as REGISTERED
from endocrine.pipeline.cli import policy as policy_command
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.rollouts import KEY, TOPIC, rollouts_partition
from endocrine.pipeline.data.policy_rollout import RolloutRefused, canary, promote, publish, roll_back, roll_out
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.policy_follower import read_rollouts
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_history, read_logs
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Verifier
from endocrine.pipeline.runtime.worker.main import Worker
from endocrine.schemas.rollouts import PolicyRollout
from needed import agents_named, needed_topics
from policies import policy_over
from running import WorkerChild, at_rest, worker_in_process
from waiting import until

pytestmark = pytest.mark.usefixtures("only_needed_topics")
AGENTS = agents_named("modulation", "gating")
COMMANDS = typer.Typer()
policy_command.register(COMMANDS)
COMMANDS.callback()(lambda: None)


class Deployment:
    """Workers, someone who opens turns, and someone who reads what was decided."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.settings, self.producer, self.consumer = settings, producer, consumer
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
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
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
    deployment.consumer.assign(places)
    for place in places:
        deployment.consumer.seek(place, 0)


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


@pytest.mark.slow
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
        for worker in workers:
            await at_rest(worker, deployment.consumer)
    assert await proved(settings) == {base.digest, first, second, third}


def first_under(deployment: Deployment, digest: str, asking: asyncio.Task[Any]) -> bool:
    """Whether a turn was decided by this policy, or all that were asked have been decided."""
    return asking.done() or any(one["policy"] == digest for one in deployment.decided.values())


@pytest.mark.slow
async def test_replay_proves_every_switch_in_whose_middle_a_worker_was_killed(
    deployment: Deployment, tmp_path: Path
) -> None:
    settings = deployment.settings
    await ensure_topics(settings, [agent.name for agent in REGISTERED])
    workers = [WorkerChild(settings, tmp_path / f"worker-{n}.log") for n in range(2)]
    published: list[str] = []
    try:
        for worker in workers:
            await worker.start()
        listening(deployment)
        assert await deployment.under() == {shipped_policy().digest}
        for number, (victim, when) in enumerate(product(workers, ("published", "first turn"))):
            digest = await deployment.roll_out(publish(tempered(0.1 + number / 10)))
            published.append(digest or "")
            asking = asyncio.create_task(deployment.ask(30))
            if when == "first turn":  # some turns are decided by the new policy, the others are on their way
                await until(partial(first_under, deployment, published[-1], asking))
            await victim.end(signal.SIGKILL)
            await victim.start()
            assert {one["policy"] for one in await asking} <= {*published[-2:], shipped_policy().digest}
        assert await deployment.under() == {published[-1]}, "who was started again decides by what is in force"
    finally:
        for worker in workers:
            await worker.end()
    report = await verified(settings)
    assert report.proved, (report.findings, report.not_verifiable, report.differences[:3])
    logs = await read_logs(settings, ["journal"])
    decided_by = {orjson.loads(raw.value or b"")["policy"] for log in logs.values() for raw in log}
    assert decided_by >= {shipped_policy().digest, published[-1]}
    assert len(decided_by & set(published)) >= 2, "switches that no batch was made under would prove nothing"


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


def command(settings: Settings, *words: str) -> tuple[int, str, str]:
    environment = {f"ENDOCRINE_{name.upper()}": str(getattr(settings, name)) for name in ("bootstrap", "prefix")}
    result = CliRunner().invoke(COMMANDS, ["policy", *words], env=environment)
    return result.exit_code, result.stdout.strip(), result.stderr


async def test_an_operator_publishes_looks_back_compares_and_rolls_back(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings, [])
    run = partial(asyncio.to_thread, command, settings)
    mine, loose = tmp_path / "mine.yaml", tmp_path / "loose.yaml"
    mine.write_text("defaults: {temperature: 0.1}\n")
    loose.write_text("maps: {alignment_risk: {temperature: {expression: 0.1 + 0.5 * x, combine: tightest}}}\n")
    digest = tempered(0.1).digest

    code, out, _ = await run("publish", str(mine))
    assert (code, "dry run: publish" in out, "defaults.temperature" in out) == (0, True, True)
    assert (await run("history"))[1].startswith("nothing is published")
    code, _, err = await run("publish", str(loose), "--yes")
    assert (code, "loosens" in err) == (1, True)
    code, _, err = await run("publish", str(mine), "--canary", "0.1", "--yes")
    assert (code, "no worker ever decided" in err) == (1, True)
    code, _, err = await run("rollback", "--yes")
    assert (code, "nothing to roll back" in err) == (1, True)

    assert (await run("publish", str(mine), "--yes", "--by", "ops", "--reason", "cooler"))[:2] == (
        0, f"rollout 1 (publish): {digest}",
    )  # fmt: skip
    code, _, err = await run("publish", str(mine), "--yes")
    assert (code, "in force already" in err) == (1, True)
    code, out, _ = await run("history", "--json")
    found = orjson.loads(out)
    assert (found["in_force"], [one["by"] for one in found["items"]]) == (digest, ["ops"])
    assert (await run("diff", digest[:8], str(mine)))[:2] == (0, "the same")
    other = tmp_path / "other.yaml"
    other.write_text("defaults: {temperature: 0.2}\n")
    code, out, _ = await run("diff", "in-force", str(other))
    assert (code, out) == (1, "defaults.temperature: 0.1 -> 0.2")
    assert (await run("publish", str(other), "--canary", "0.1", "--yes"))[0] == 0
    assert (await run("rollback", "--yes"))[1] == f"rollout 3 (rollback): {digest}"
    assert (await run("rollback", "--yes"))[1] == "rollout 4 (rollback): the policy of the settings"


async def test_of_two_operators_at_once_one_is_in_force_and_the_other_learns_of_it(settings: Settings) -> None:
    await ensure_topics(settings, [])
    seals = load_seals(settings)
    plans = [publish(tempered(0.1)), publish(tempered(0.2))]
    made = await asyncio.gather(
        *(roll_out(settings, seals, plan, by=str(n)) for n, plan in enumerate(plans)), return_exceptions=True
    )
    after = await read_rollouts(settings, seals)
    won = [one for one in made if isinstance(one, PolicyRollout)]
    assert after.entries == won
    assert all(isinstance(one, PolicyRollout | RolloutRefused) for one in made)
