"""Calls that are read back from their topic."""

import orjson
import pytest

from agents._shared.arguments import digest_of
from pipeline.connectors.tools.calls import CallKey, Calls
from pipeline.engine.fit import partition_of
from pipeline.engine.seals import simulated_seals
from pipeline.engine.wire import Fetched
from pipeline.settings import Settings

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
    assert found.said_by == told
