"""Calls that are read back from their topic."""

import orjson
import pytest

from agents._shared.arguments import digest_of
from pipeline.connectors.tools.calls import CallKey, Calls
from pipeline.engine.fit import partition_of
from pipeline.engine.wire import Fetched
from pipeline.settings import Settings

CALL = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "tool": "open_url", "arguments": {}, "step": 1, "ts": 2.0}


@pytest.mark.parametrize(("source", "told"), [(None, ""), (b"app", "app")])
def test_who_said_a_call_is_empty_where_its_source_is_null(source, told):
    settings = Settings(partitions=4)
    calls = Calls(settings, lookback_s=1.0)
    headers = (("ce_source", source), ("mine", None))
    calls.add(Fetched(partition_of("ann", 4), 0, 1000, b"ann", orjson.dumps(CALL), headers))
    found = calls.known(CallKey("ann", "t1", "c1", "open_url", digest_of({})))
    assert found is not None
    assert found.said_by == told
