"""What must exist on a broker before a worker joins."""

import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.topic_layout import changelog_name, physical_topics
from endocrine.pipeline.process.settings import Settings
from properties import examples

AGENTS = ["modulation", "gating"]


@pytest.fixture
def topics():
    return {topic.name: topic for topic in physical_topics(Settings(prefix="p."), AGENTS)}


def test_every_catalogue_topic_its_dead_letters_and_every_changelog_is_there_once(topics):
    owned = [f"p.{topic.dead_letters}" for topic in CATALOGUE.values() if topic.owner]
    expected = [f"p.{name}" for name in CATALOGUE] + owned + ["p.changelog.modulation", "p.changelog.gating"]
    assert sorted(topics) == sorted(expected)
    assert changelog_name(Settings(prefix="p."), "gating") in topics


def test_all_are_stamped_with_the_append_time(topics):
    assert {topic.configs["message.timestamp.type"] for topic in topics.values()} == {"LogAppendTime"}


def test_dead_letters_are_kept_by_retention_even_of_a_compacted_topic(topics):
    """Dead letters share keys: compaction would drop all but the last."""
    assert CATALOGUE["style-tables"].cleanup == "compact"
    assert topics["p.style-tables.dlq"].configs["cleanup.policy"] == "delete"
    assert int(topics["p.style-tables.dlq"].configs["retention.ms"]) > 0


@given(st.integers(1 << 20, 1 << 28), st.integers(1, 1024))
@bounds(max_examples=examples(25))
def test_dead_letters_take_the_largest_record_of_their_topic_with_headers_on_top(size, partitions):
    config = Settings(topic_message_bytes=size, partitions=partitions)
    topics = {topic.name: topic for topic in physical_topics(config, AGENTS)}
    for topic in CATALOGUE.values():
        if topic.owner:
            largest = int(topics[config.prefix + topic.name].configs["max.message.bytes"])
            assert int(topics[config.prefix + topic.dead_letters].configs["max.message.bytes"]) > largest == size
    assert {topic.partitions for topic in topics.values()} == {partitions}


def test_changelogs_are_compacted_late_and_take_large_batches(topics):
    configs = topics["p.changelog.gating"].configs
    assert configs["cleanup.policy"] == "compact"
    assert configs["min.compaction.lag.ms"] == str(Settings().compaction_lag_ms)
    assert configs["max.message.bytes"] == str(Settings().changelog_message_bytes)
    assert "retention.ms" not in configs
