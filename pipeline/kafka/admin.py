"""Topics on the broker: create what is missing, refuse a wrong partition count, repair configs, describe.

Everything is created explicitly before a worker joins: placement, order, watermarks and ids hang on the partition
count.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    NotControllerError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from endocrine.pipeline.kafka.clients import introduce, reader
from endocrine.pipeline.kafka.connection import admin_client, why_refused
from endocrine.pipeline.kafka.topic_layout import PhysicalTopic, physical_topics
from endocrine.pipeline.process.settings import Settings

_POLL_S = 0.1
_TOPIC_OVERRIDE = 1
"""config_source of a value set on the topic itself (DescribeConfigs, DYNAMIC_TOPIC_CONFIG)."""


class TopicsError(RuntimeError):
    """The broker cannot be reached, or its topics are not as they must be. The message names what to do."""


class BrokerAway(TopicsError):
    """No broker answers."""


class ConnectionRefused(BrokerAway):
    """The broker takes no connection with our certificate or credentials. The message names the setting."""


@dataclass(frozen=True)
class Report:
    """What `ensure_topics` did."""

    created: list[str]
    existing: list[str]
    warnings: list[str] = field(default_factory=list)
    """Configs that differed: repaired, or why not."""


@dataclass(frozen=True)
class TopicState:
    """A topic as it is on the broker."""

    topic: PhysicalTopic
    partitions: int | None
    """None: it does not exist."""
    differing: Mapping[str, str]
    """Config name to the broker's value, where that is not ours."""
    offsets: list[tuple[int, int]]
    """First offset and log end, per partition."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it, in short."""
        if self.partitions is None:
            return "missing"
        if self.partitions != self.topic.partitions:
            return f"{self.partitions} partitions instead of {self.topic.partitions}"
        return f"differs in {', '.join(sorted(self.differing))}" if self.differing else None


async def ensure_topics(settings: Settings, agent_names: Iterable[str], timeout_s: float = 60.0) -> Report:
    """Make every topic as declared. Safe to repeat, and to run in several workers at once.

    Creates what is missing and waits for leaders; sets configs that differ, where the broker allows. Raises TopicsError
    when the broker is not reached, refuses, or holds a topic with another partition count.
    """
    wanted = {topic.name: topic for topic in physical_topics(settings, agent_names)}
    deadline = time.monotonic() + timeout_s
    async with _admin(settings, deadline) as admin:
        found = await _partitions(admin)
        # Counts first: nothing is created beside topics that cannot be used.
        _check_counts(wanted, found, settings)
        missing = [topic for name, topic in wanted.items() if name not in found]
        created = await _create(admin, missing, settings, deadline)
        await _wait_for_leaders(admin, wanted, settings, deadline)
        # What another worker created a moment ago, or what metadata did not show yet, is among these.
        existing = [name for name in wanted if name not in created]
        warnings = await _repair_configs(admin, [wanted[name] for name in existing], deadline)
    return Report(created, existing, warnings)


async def describe_topics(settings: Settings, agent_names: Iterable[str], timeout_s: float = 30.0) -> list[TopicState]:
    """Return every declared topic as it is on the broker, in catalogue order. Raises TopicsError when that is not
    reached."""
    wanted = physical_topics(settings, agent_names)
    async with _admin(settings, time.monotonic() + timeout_s) as admin:
        found = await _partitions(admin)
        here = [topic for topic in wanted if topic.name in found]
        configs = await _configs(admin, [topic.name for topic in here])
    partitions = [TopicPartition(topic.name, number) for topic in here for number in sorted(found[topic.name])]
    offsets = await _offsets(settings, partitions)
    return [
        TopicState(
            topic,
            len(found[topic.name]) if topic.name in found else None,
            _differing(topic, configs.get(topic.name, {})),
            [offsets[part] for part in partitions if part.topic == topic.name],
        )
        for topic in wanted
    ]


@asynccontextmanager
async def _admin(settings: Settings, deadline: float) -> AsyncIterator[AIOKafkaAdminClient]:
    while True:
        admin = admin_client(settings)
        try:
            await admin.start()
            break
        except (KafkaError, OSError) as error:
            await admin.close()
            if reason := await why_refused(settings):
                raise ConnectionRefused(reason) from error
            if time.monotonic() > deadline:
                if reason := await why_refused(settings, guess=True):
                    raise ConnectionRefused(reason) from error
                raise BrokerAway(
                    f"no Kafka broker answers at {settings.bootstrap}. Start one (`make run` brings its own,"
                    " `make kafka` starts Apache Kafka), or name yours with --bootstrap or"
                    " ENDOCRINE_BOOTSTRAP=host:port."
                ) from error
            await asyncio.sleep(5 * _POLL_S)
    try:
        yield admin
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, dict[int, int]]:
    """Leader (-1: none yet) by partition, by topic; of all topics: to ask for one by name may create it."""
    return {
        topic["topic"]: {part["partition"]: part["leader"] for part in topic["partitions"]}
        for topic in await admin.describe_topics()
        if topic["error_code"] == 0
    }


def _check_counts(
    wanted: Mapping[str, PhysicalTopic], found: Mapping[str, Mapping[int, int]], settings: Settings
) -> None:
    wrong = {
        name: len(found[name])
        for name, topic in wanted.items()
        if len(found.get(name, ())) not in (0, topic.partitions)
    }
    if not wrong:
        return
    counts = sorted(set(wrong.values()))
    lines = "\n".join(
        f"  {name}: {count} partitions, expected {wanted[name].partitions}" for name, count in wrong.items()
    )
    same = f"set ENDOCRINE_PARTITIONS={counts[0]}, " if len(counts) == 1 else ""
    raise TopicsError(
        f"{len(wrong)} topics at {settings.bootstrap} have another partition count than ENDOCRINE_PARTITIONS="
        f"{settings.partitions}:\n{lines}\nPartition counts are fixed: where a record lies, its order and its id"
        f" hang on them. To keep this data, {same or 'give every topic one count, '}or use a new prefix"
        " (ENDOCRINE_PREFIX); to start afresh, delete these topics."
    )


async def _create(
    admin: AIOKafkaAdminClient, topics: list[PhysicalTopic], settings: Settings, deadline: float
) -> list[str]:
    """Names of the topics that we created; another worker may be first with some."""
    created: list[str] = []
    left = topics
    while left:
        request = [NewTopic(t.name, t.partitions, t.replication, topic_configs=dict(t.configs)) for t in left]
        answer = await admin.create_topics(request, timeout_ms=30_000)
        retry = []
        for name, code, *message in answer.topic_errors:
            error = for_code(code)
            if code == 0:
                created.append(name)
            elif error in (NotControllerError, RequestTimedOutError) and time.monotonic() < deadline:
                retry.append(name)
            elif error is not TopicAlreadyExistsError:
                if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
                    raise TopicsError(
                        f"topic {name} does not exist, or {settings.kafka_principal} may not DESCRIBE it, and the"
                        " broker refuses to have it created by us: `endocrine topics create` as one who may, and the"
                        " ACLs of `endocrine acls print`"
                    )
                reason = (message and message[0]) or error.__name__
                raise TopicsError(f"the broker refuses to create topic {name}: {reason}")
        left = [topic for topic in left if topic.name in retry]
        if left:
            await asyncio.sleep(_POLL_S)
    return created


async def _wait_for_leaders(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, PhysicalTopic], settings: Settings, deadline: float
) -> None:
    while True:
        found = await _partitions(admin)
        _check_counts(wanted, found, settings)
        waiting = [name for name in wanted if not found.get(name) or min(found[name].values()) < 0]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise TopicsError(f"{len(waiting)} topics have no leader yet, such as {waiting[0]}: are all brokers up?")
        await asyncio.sleep(_POLL_S)


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """By topic and config: value, and whether it is set on the topic itself; without topics that may not be read."""
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        name: {entry[0]: (entry[1], entry[3] == _TOPIC_OVERRIDE) for entry in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }


def _differing(topic: PhysicalTopic, configs: Mapping[str, tuple[str, bool]]) -> dict[str, str]:
    return {
        name: configs[name][0] for name, value in topic.configs.items() if name in configs and configs[name][0] != value
    }


async def _repair_configs(admin: AIOKafkaAdminClient, topics: list[PhysicalTopic], deadline: float) -> list[str]:
    configs = await _configs(admin, [topic.name for topic in topics])
    warnings = [
        f"{topic.name}: its configs may not be read (ACL DESCRIBE_CONFIGS)"
        for topic in topics
        if topic.name not in configs
    ]
    repaired = []
    for topic in topics:
        current = configs.get(topic.name, {})
        if not (differing := _differing(topic, current)):
            continue
        # The request replaces all overrides of a topic, so those that others set are sent along.
        theirs = {name: value for name, (value, overridden) in current.items() if overridden}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, configs={**theirs, **topic.configs})
        changes = ", ".join(f"{name} {value} -> {topic.configs[name]}" for name, value in differing.items())
        for answer in await admin.alter_configs([resource]):
            for code, message, *_ in answer.resources:
                how = "set" if code == 0 else f"the broker refuses ({message or for_code(code).__name__}); set by hand"
                warnings.append(f"{topic.name}: {how}: {changes}")
                repaired += [topic] * (code == 0)
    # In force a moment after the answer: a worker must not start before, on create time or too small a batch.
    while repaired and time.monotonic() < deadline:
        configs = await _configs(admin, [topic.name for topic in repaired])
        repaired = [topic for topic in repaired if _differing(topic, configs.get(topic.name, {}))]
        await asyncio.sleep(_POLL_S)
    return warnings


async def _offsets(settings: Settings, partitions: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    if not partitions:
        return {}
    consumer = reader(settings)
    try:
        await consumer.start()
        introduce(consumer, partitions)
        first = await consumer.beginning_offsets(partitions)
        last = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {part: (first[part], last[part]) for part in partitions}


async def topic_configs(settings: Settings, names: list[str], timeout_s: float = 30.0) -> dict[str, dict[str, str]]:
    """Return the configs in force of topics (with prefix), by topic and name; without topics that may not be read.

    Raises TopicsError when the broker is not reached.
    """
    async with _admin(settings, time.monotonic() + timeout_s) as admin:
        found = await _configs(admin, names)
    return {name: {config: value for config, (value, _) in configs.items()} for name, configs in found.items()}
