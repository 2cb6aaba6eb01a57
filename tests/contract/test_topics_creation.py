"""Topics are created as declared, and a wrong partition count stops everything."""

import asyncio

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.admin import TopicsError, describe_topics, ensure_topics
from endocrine.pipeline.kafka.topic_layout import physical_topics

AGENTS = ["modulation", "gating"]


async def test_every_topic_stands_as_declared(settings):
    report = await ensure_topics(settings, AGENTS)
    states = await describe_topics(settings, AGENTS)
    assert len(report.created) == len(states) > len(CATALOGUE) + len(AGENTS)
    assert [state.problem for state in states] == [None] * len(states)
    assert {state.partitions for state in states} == {settings.partitions}
    assert {tuple(state.offsets) for state in states} == {((0, 0),) * settings.partitions}


async def test_creating_again_changes_nothing(settings):
    first = await ensure_topics(settings, AGENTS)
    again = await ensure_topics(settings, AGENTS)
    assert (again.created, again.existing, again.warnings) == (
        [],
        [t.name for t in physical_topics(settings, AGENTS)],
        [],
    )
    assert first.existing == []


async def test_two_workers_may_create_at_once(settings):
    reports = await asyncio.gather(*(ensure_topics(settings, AGENTS) for _ in range(3)))
    created = [name for report in reports for name in report.created]
    assert sorted(created) == sorted(topic.name for topic in physical_topics(settings, AGENTS))


async def test_another_partition_count_is_an_error_that_names_both_and_creates_nothing(settings, admin):
    signals = settings.prefix + "signals"
    await admin.create_topics([NewTopic(signals, 3, 1)])
    async with asyncio.timeout(60):
        while signals not in await admin.list_topics():  # shown a moment after it is created
            pass
    with pytest.raises(TopicsError) as failure:
        await ensure_topics(settings, AGENTS)
    assert f"{signals}: 3 partitions, expected {settings.partitions}" in str(failure.value)
    assert "ENDOCRINE_PARTITIONS=3" in str(failure.value)
    assert [name for name in await admin.list_topics() if name.startswith(settings.prefix)] == [signals]


async def test_configs_that_differ_are_mended_and_said(settings, admin):
    journal = settings.prefix + "journal"
    theirs = {"message.timestamp.type": "CreateTime", "segment.ms": "1234567"}
    await admin.create_topics([NewTopic(journal, settings.partitions, 1, topic_configs=theirs)])
    report = await ensure_topics(settings, AGENTS)
    assert len(report.warnings) == 1
    assert f"{journal}: set: " in report.warnings[0]
    assert "message.timestamp.type CreateTime -> LogAppendTime" in report.warnings[0]
    state = next(s for s in await describe_topics(settings, AGENTS) if s.topic.name == journal)
    assert state.problem is None


async def test_mending_leaves_other_overrides_of_a_topic_alone(settings, admin):
    journal = settings.prefix + "journal"
    theirs = {"message.timestamp.type": "CreateTime", "segment.ms": "1234567"}
    await admin.create_topics([NewTopic(journal, settings.partitions, 1, topic_configs=theirs)])
    await ensure_topics(settings, AGENTS)
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, journal)])
    configs = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    assert configs["segment.ms"] == "1234567"


async def test_a_missing_topic_is_described_as_missing(settings):
    states = await describe_topics(settings, AGENTS)
    assert {state.problem for state in states} == {"missing"}


async def test_more_replicas_than_brokers_is_an_error_with_the_brokers_reason(settings):
    with pytest.raises(TopicsError, match=r"refuses to create topic .*3 time"):
        await ensure_topics(settings.model_copy(update={"replication": 3}), AGENTS)


async def test_a_broker_that_is_not_there_is_an_error_that_says_what_to_do(settings):
    with pytest.raises(TopicsError, match=r"127\.0\.0\.1:1\. .*make run.*ENDOCRINE_BOOTSTRAP"):
        await ensure_topics(settings.model_copy(update={"bootstrap": "127.0.0.1:1"}), AGENTS, timeout_s=0)
