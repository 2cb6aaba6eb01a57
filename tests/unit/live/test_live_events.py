"""Which records are events, and what they are called."""

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.views.event import Event, event_of

NULLS = tuple((name, None) for name in ("ce_id", "endocrine-error", "endocrine-error-kind", "mine"))
DERIVED = (("ce_id", b"bonds/x/0"), ("endocrine-origin", b"bonds/detections/0/1/0"))


def record(headers, value=b"{}"):
    return Fetched(0, 5, 0, b"ann", value, headers)


def test_a_derived_record_is_an_event_and_one_that_a_producer_wrote_is_none():
    assert event_of("commands", record(DERIVED), True) == Event("commands", "ann", "bonds/x/0", {}, True)
    assert event_of("commands", record((("ce_id", b"c1"),)), True) is None


def test_null_headers_count_as_none():
    assert event_of("commands", record((*NULLS, ("endocrine-origin", None))), True) is None
    event = event_of("bonds", record((DERIVED[1], *NULLS), None), False)
    assert event == Event("bonds", "ann", "bonds/0/5", None, False)
    dead = event_of("signals.dlq", record((*NULLS, ("endocrine-origin", None))), True)
    assert dead == Event(
        "signals.dlq", "ann", "signals.dlq signals.dlq/0/5", {"kind": "unknown", "error": ""}, True
    )  # fmt: skip
