"""A worker hands records on when the keys of their content are known, and loses none where these cannot be read."""

import pytest

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.errors import Retry
from endocrine.pipeline.runtime.worker.kafka_broker_port import KafkaBrokerPort


class Broker:
    """Has the settings, and nothing to read again."""

    settings = Settings()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def port(asked):
    async def ready(runs):
        asked.append([raw.offset for run in runs for raw in run.records])
        if len(asked) == 1:
            raise Retry("no broker answers")

    return KafkaBrokerPort(Broker(), "agent", 0, ["in"], on_pressure=lambda high: None, buffer_bytes=1000, ready=ready)


def arrived(port, offset):
    port.arrive("in", [Fetched(0, offset, 0, b"k", b"{}")], offset, offset + 1)


async def test_what_waits_for_its_keys_is_handed_on_once_they_are_there_and_before_what_came_later(port, asked):
    await port.seek({"in": 0})
    arrived(port, 0)
    with pytest.raises(Retry):
        await port.fetch(wait=False)
    arrived(port, 1)
    offsets = [[raw.offset for run in await port.fetch(wait=False) for raw in run.records] for _ in range(2)]
    assert offsets == [[0], [1]]
    assert asked == [[0], [0], [1]]


async def test_a_seek_forgets_what_waits(port):
    await port.seek({"in": 0})
    arrived(port, 0)
    with pytest.raises(Retry):
        await port.fetch(wait=False)
    await port.seek({"in": 5})
    arrived(port, 5)
    (run,) = await port.fetch(wait=False)
    assert [raw.offset for raw in run.records] == [5]
