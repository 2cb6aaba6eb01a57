"""The traps of stock Faust 0.15.3 that architecture section 4 names: our worker has none of them."""

import asyncio
import re
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import faust
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import PolicyViolationError

from endocrine.agents.attribution.agent import AGENT as ATTRIBUTION
from endocrine.agents.attribution.agent import AttributionAgent
from endocrine.agents.suspicion.agent import AGENT as SUSPICION
from endocrine.pipeline.core.changelog import Recovered
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.runtime.errors import Fatal
from endocrine.pipeline.runtime.worker.kafka_broker_port import Broker, KafkaBrokerPort
from endocrine.pipeline.runtime.worker.main import Worker
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from running import at_rest, worker_in_process

pytestmark = pytest.mark.usefixtures("only_needed_topics")
PEOPLE = ("ann", "max", "bob", "tom")
"""Two on each of two partitions."""


def observation(number, who, value="typed"):
    return {
        "id": f"o{number}",
        "primitive": "motor.input_modality",
        "value": value,
        "confidence": 0.9,
        "window": {"start_ts": 1e9 + number - 1, "end_ts": 1e9 + number},
        "ts": 1e9 + number,
        "source": "test",
        "identity_ref": who,
        "v": 1,
    }


@dataclass(frozen=True)
class Failing(AttributionAgent):
    """Fails on what bob does."""

    def process(self, state, trigger, policy):
        if trigger.identity == "bob":
            raise ZeroDivisionError("as told")
        return super().process(state, trigger, policy)


@pytest.fixture
def small(settings):
    return settings.model_copy(update={"partitions": 2, "commit_interval_s": 0.05})


@pytest.fixture
async def consumer(small):
    found = AIOKafkaConsumer(bootstrap_servers=small.bootstrap)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def feed(small):
    """Write observations and wait until the broker has them."""
    producer = AIOKafkaProducer(bootstrap_servers=small.bootstrap)
    await producer.start()

    async def feed(numbers, people=PEOPLE):
        for number in numbers:
            who = people[number % len(people)]
            value = orjson.dumps(observation(number, who))
            await producer.send_and_wait(f"{small.prefix}observations", value, key=who.encode())

    yield feed
    await producer.stop()


@asynccontextmanager
async def failing_worker(settings, agents=(ATTRIBUTION,)):
    """A worker that is expected to stop on its own."""
    worker = Worker(settings, agents, shipped_policy())
    life = asyncio.create_task(worker.run())
    try:
        yield worker, life
    finally:
        worker.stop()
        await asyncio.wait_for(life, 60)


async def group_offsets(settings, admin):
    found = await admin.list_consumer_group_offsets(settings.group)
    return {place: meta.offset for place, meta in found.items() if place.topic.endswith("observations")}


async def until(condition, patience_s=30):
    async with asyncio.timeout(patience_s):
        while not await condition():  # noqa: ASYNC110 - what is awaited lies on the broker
            await asyncio.sleep(0.05)


async def states_of(settings):
    """First copies of attribution states: ids in the order said."""
    logs = await read_logs(settings, ["attribution-states"])
    return {dict(raw.headers)["ce_id"].decode() for log in logs.values() for raw in log}


async def test_offsets_are_never_committed_past_what_is_remembered(small, feed, admin, consumer, monkeypatch):
    """faust-streaming #606: later batches and other partitions go on while one is in flight; the group must not."""
    gate, write_checkpoint = asyncio.Event(), KafkaBrokerPort.write_checkpoint

    async def held(self, items, claim):
        if self._partition == 0 and self._log.startswith(small.prefix) and "attribution" in self._log:
            await gate.wait()
        return await write_checkpoint(self, items, claim)

    await ensure_topics(small, ["attribution"])
    monkeypatch.setattr(KafkaBrokerPort, "write_checkpoint", held)
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as worker:
        await feed(range(40))
        other = TopicPartition(f"{small.prefix}observations", 1)
        stuck = TopicPartition(f"{small.prefix}observations", 0)

        async def other_is_committed():
            return (await group_offsets(small, admin)).get(other, 0) == 20

        await until(other_is_committed)
        await asyncio.sleep(0.3)  # several commits more
        assert (await group_offsets(small, admin)).get(stuck, 0) <= 0
        gate.set()
        await at_rest(worker, consumer)
        next_offsets = {
            partition: unit.checkpoint.next_offsets for (_, partition), unit in worker.manager.processors.items()
        }
        assert next_offsets == {0: {"observations": 20}, 1: {"observations": 20}}
    assert (await group_offsets(small, admin))[stuck] == 20


async def test_an_exception_in_an_agent_is_a_dead_letter_and_not_a_loss(small, feed, consumer):
    async with worker_in_process(small, (Failing(),), shipped_policy()) as worker:
        await feed(range(12))
        await at_rest(worker, consumer)
    logs = await read_logs(small, ["observations.dlq"])
    letters = [raw for log in logs.values() for raw in log]
    assert {raw.key for raw in letters} == {b"bob"}
    assert {dict(raw.headers)["endocrine-error-kind"] for raw in letters} == {b"agent_error"}
    for raw in letters:
        error = dict(raw.headers)["endocrine-error"].decode()
        assert re.fullmatch(r"attribution failed: ZeroDivisionError at tests\.contract\.test_faust_traps:\d+", error)
    assert len(letters) == 3
    # Of a batch only the last state per key is said: everyone's last one is there, and nothing of bob.
    said = await states_of(small)
    assert {f"attribution/o{number}/0" for number in (8, 9, 11)} <= said
    assert not said & {f"attribution/o{number}/0" for number in (2, 6, 10)}


async def test_a_failed_produce_stops_the_worker_and_the_successor_says_it(small, feed, admin, consumer, monkeypatch):
    send = Broker.send

    async def refused(self, topic, partition, records, common):
        if topic.endswith("attribution-states"):
            raise Fatal(f"{topic}/{partition}: could not be sent: as told")
        await send(self, topic, partition, records, common)

    with monkeypatch.context() as patch:
        patch.setattr(Broker, "send", refused)
        async with failing_worker(small) as (worker, life):
            await asyncio.wait_for(worker.ready.wait(), 60)
            await feed(range(4))
            await asyncio.wait_for(life, 60)
    assert isinstance(worker.failure, Fatal)
    assert not any(offset > 0 for offset in (await group_offsets(small, admin)).values())
    assert await states_of(small) == set()
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as successor:
        await at_rest(successor, consumer)
    assert await states_of(small) == {f"attribution/o{number}/0" for number in range(4)}


async def test_when_a_batch_is_done_its_states_stand_in_the_changelog(small, feed, consumer):
    """flush_atmost may return with writes still buffered, and tables cannot be written in take() (#497)."""
    await ensure_topics(small, ["attribution"])
    await feed(range(200))
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as worker:
        await at_rest(worker, consumer)
        for (_, partition), unit in worker.manager.processors.items():
            assert unit.checkpoint.batch < 100, "no batch held more than one record"
            recovered = Recovered({})
            async for entries in worker.manager._ports["attribution", partition].changelog(
                0, unit.changelog.next_offset
            ):
                recovered.apply(entries)
            assert recovered.store == dict(unit.changelog._store)
            assert sum(key.startswith(b"s") for key in recovered.store) == 2


async def test_a_commit_that_failed_is_sent_again(small, feed, admin, consumer, monkeypatch):
    """faust #316: the bookkeeping went on although the commit had failed."""
    await ensure_topics(small, ["attribution"])
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as worker:
        commit, tried = worker.manager.consumer.commit_now, []

        async def fails_first(offsets):
            tried.append(dict(offsets))
            return False if len(tried) == 1 else await commit(offsets)

        monkeypatch.setattr(worker.manager.consumer, "commit_now", fails_first)
        await feed(range(4), people=("ann",))
        await at_rest(worker, consumer)
        place = TopicPartition(f"{small.prefix}observations", 0)

        async def committed():
            return (await group_offsets(small, admin)).get(place) == 4

        await until(committed)
        assert len(tried) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_fausts_web_is_off_and_nothing_listens(small):
    before = _listening()  # of other tests' gateways
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as worker:
        assert worker.manager.consumer.app.conf.web_enabled is False
        assert _listening() <= before


def _listening():
    """Sockets of this process that accept connections."""
    mine = {link for fd in Path("/proc/self/fd").iterdir() if (link := _target(fd)).startswith("socket:")}
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return mine & {f"socket:[{row.split()[9]}]" for row in rows if row.split()[3] == "0A"}


def _target(link):
    try:
        return str(link.readlink())
    except OSError:
        return ""


async def test_the_session_timeout_is_ours_and_exactly_once_is_not_used(small):
    short = small.model_copy(update={"session_timeout_s": 7.0})
    async with worker_in_process(short, (ATTRIBUTION,), shipped_policy()) as worker:
        app = worker.manager.consumer.app
        inner = worker.manager.consumer._thread._consumer
        assert inner._coordinator._session_timeout_ms == 7000
        assert inner._coordinator._heartbeat_interval_ms < 7000 / 3
        assert app.conf.processing_guarantee == faust.types.enums.ProcessingGuarantee.AT_LEAST_ONCE
        assert app.in_transaction is False
        for producer in (worker.manager.broker._changelog, worker.manager.broker._outputs):
            assert producer._txn_manager.transactional_id is None


async def test_the_shipped_session_timeout_is_far_below_fausts_sixty_seconds(settings):
    assert settings.session_timeout_s <= 10


async def test_recovery_of_an_empty_changelog_does_not_hang(small):
    async with asyncio.timeout(120):
        async with worker_in_process(small, (ATTRIBUTION, SUSPICION), shipped_policy()) as worker:
            assert {unit.checkpoint.batch for unit in worker.manager.processors.values()} == {0}


async def test_recovery_of_a_changelog_that_no_longer_begins_at_zero_does_not_hang(small, feed, admin, consumer):
    """faust #176: retention had removed the beginning, and recovery waited for it for ever."""
    async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as worker:
        await feed(range(8))
        await at_rest(worker, consumer)
        batches = {partition: unit.checkpoint.batch for (_, partition), unit in worker.manager.processors.items()}
    # The claim at offset 0 goes; every later record stays.
    changelog = f"{small.prefix}changelog.attribution"
    places = {TopicPartition(changelog, n): RecordsToDelete(1) for n in range(2)}
    retained = {"cleanup.policy": "compact,delete"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, changelog, configs=retained)])
    async with asyncio.timeout(120):
        while True:
            try:
                await admin.delete_records(places)
                break
            except PolicyViolationError:  # the new policy has not reached the broker yet
                await asyncio.sleep(0.1)
    assert await consumer.beginning_offsets([*places]) == dict.fromkeys(places, 1)
    async with asyncio.timeout(120):
        async with worker_in_process(small, (ATTRIBUTION,), shipped_policy()) as again:
            assert {
                partition: unit.checkpoint.batch for (_, partition), unit in again.manager.processors.items()
            } == batches


async def test_two_workers_own_the_same_partition_number_of_all_topics(small, feed, consumer):
    agents = (ATTRIBUTION, SUSPICION)
    four = small.model_copy(update={"partitions": 4})
    async with (
        worker_in_process(four, agents, shipped_policy()) as one,
        worker_in_process(four, agents, shipped_policy()) as two,
    ):

        async def shared():
            return all(len(worker.manager.processors) == 4 for worker in (one, two))

        await until(shared, 60)
        owned = [set(worker.manager.processors) for worker in (one, two)]
        partitions = [{partition for _, partition in processors} for processors in owned]
        assert owned[0] | owned[1] == {(agent.name, n) for agent in agents for n in range(4)}
        assert partitions[0] & partitions[1] == set()
        for worker, mine in zip((one, two), partitions, strict=True):
            sources = [place for place in worker.manager.consumer.assignment() if "changelog" not in place.topic]
            assert {place.partition for place in sources} == mine
            assert len(sources) == 2 * len({place.topic for place in sources})


async def test_a_leader_that_saw_no_topics_when_it_joined_assigns_them_within_seconds(small, admin, monkeypatch):
    """A Kafka that has just started answers without naming itself: aiokafka looks again after five minutes only."""
    await ensure_topics(small, ["attribution"])
    look, seeing, took = ClusterMetadata.partitions_for_topic, threading.Event(), []
    recover = ProcessorManager.recover

    def blind_at_first(cluster, topic):
        ours = topic.startswith(small.prefix) and threading.current_thread() is not threading.main_thread()
        return None if ours and not seeing.is_set() else look(cluster, topic)

    async def noted(body, assigned):
        if body.settings.prefix == small.prefix:
            took.append(set(assigned))
        return await recover(body, assigned)

    monkeypatch.setattr(ClusterMetadata, "partitions_for_topic", blind_at_first)
    monkeypatch.setattr(ProcessorManager, "recover", noted)
    async with failing_worker(small) as (worker, _):

        async def assigned_nothing():
            return bool(took)

        async def assigned_all():
            return len(worker.manager.processors) == small.partitions

        await until(assigned_nothing)
        assert took == [set()]
        seeing.set()
        await until(assigned_all)
        assert worker.failure is None
