"""Calls that are read back from their topic."""

from types import SimpleNamespace

import orjson
import pytest

from endocrine.agents._shared.arguments import digest_of
from endocrine.pipeline.connectors.tools.calls import CallKey, Calls
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.process.settings import Settings

CALL = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "open_url", "arguments": {}, "step": 1, "ts": 2.0}


SEALS = simulated_seals()
OURS = b"endocrine/conversation"


@pytest.mark.parametrize(
    ("source", "sealed", "told"),
    [
        (None, True, ""),
        (b"endocrine/conversation", True, "endocrine/conversation"),
        (b"endocrine/conversation", False, ""),
    ],
)
def test_who_wrote_a_call_is_said_by_a_sealed_record_alone(source, sealed, told):
    calls = Calls(Settings(partitions=4), lookback_s=1.0, seals=SEALS)
    place, value = partition_of("ann", 4), orjson.dumps(CALL)
    seal = SEALS.seal("tool-calls", place, b"ann", value if sealed else b"other", None)
    headers = (("ce_source", source), ("mine", None), ("endocrine-seal", seal))
    calls.add(Fetched(place, 0, 1000, b"ann", value, headers))
    found = calls.known(CallKey("ann", "t1", "c1", "open_url", digest_of({})))
    assert found is not None
    assert found.source == told


class Broker:
    """Answers which offset was the first since a time; each record lies ten seconds after the one before."""

    def __init__(self, end):
        self.end = end
        self.asked = 0

    async def offsets_for_times(self, times):
        self.asked += 1
        ((place, since),) = times.items()
        offset = max(0, -(-since // 10_000))
        return {place: None if offset >= self.end else SimpleNamespace(offset=offset)}


@pytest.mark.parametrize(("offset", "recent"), [(0, False), (49, False), (50, True), (99, True)])
async def test_whether_a_record_is_recent_is_for_the_broker_to_say(offset, recent):
    calls = Calls(Settings(partitions=4), lookback_s=1.0, seals=SEALS)
    calls._reader = broker = Broker(end=100)
    assert await calls.is_recent("tool-calls", 1, offset, 500.0) is recent
    assert await calls.is_recent("tool-calls", 1, 99, 500.0)
    assert broker.asked == 1


async def test_where_nothing_is_recent_no_record_is():
    calls = Calls(Settings(partitions=4), lookback_s=1.0, seals=SEALS)
    calls._reader = Broker(end=10)
    assert not await calls.is_recent("tool-calls", 1, 9, 500.0)
