"""Where a subject is named: by key, header, value, pair, outbox; and not where another's name only contains it."""

import orjson
import pytest

from endocrine.pipeline.core.outbox import Outbox, compress_outbox, pack_outbox
from endocrine.pipeline.core.records import Fetched, OutputRecord
from endocrine.pipeline.data.erasure.traces import Traces, dated

MEMORY = "m-" + "0" * 24


def record(key, value=None, headers=(), offset=0):
    return Fetched(0, offset, 1_000, key.encode(), value, tuple(headers))


def outbox(value):
    out = OutputRecord("captured", 0, b"project:p05", orjson.dumps(value), (), True)
    return compress_outbox(pack_outbox(Outbox(1, (), [out])))


@pytest.mark.parametrize(
    ("topic", "raw"),
    [
        ("interactions", record("ann")),
        ("interactions.dlq", record("ann", b"not json")),
        ("memories", record(f"ann/{MEMORY}")),
        ("trusted-states", record("ann/fact/town")),
        ("identity-links", record('["ann","bob"]')),
        ("link-evidence", record("$ev:c2:0", b'{"identity":"ann"}')),
        ("captured", record("project:p05", b'{"identity":"ann"}')),
        ("tool-analytics", record("search", b"{}", [("ce_subject", b"ann")])),
        ("memory-events", record("project:p05", orjson.dumps({"memory_id": MEMORY}))),
        ("erasure-events", record("bob", orjson.dumps({"key": 'bob/["ann","bob"]'}))),
        ("erasure-events", record("$registry", orjson.dumps({"key": "$registry/identity/ann"}))),
        ("changelog.memory", record(f"sann/{MEMORY}")),
        ("changelog.meeting", record("s$ev:c2:0", b'{"rows":[["ann","",1.0,"o"]]}')),
        ("changelog.capture", record("o1", outbox({"identity": "ann"}))),
    ],
)
def test_a_record_that_names_the_subject_is_found(topic, raw):
    traces = Traces(["ann"], [MEMORY])
    traces.look(topic, 0, [raw])
    assert traces.by_topic[topic].records == 1


@pytest.mark.parametrize(
    ("topic", "raw"),
    [
        ("interactions", record("annabel", b'{"prompt":"who is ann?","identity":"annabel"}')),
        ("interactions", record("ops/ann")),
        ("memories", record(f"ops/ann/{MEMORY}")),
        ("changelog.bonds", record("sann/x")),
        ("changelog.capture", record("o1", outbox({"identity": "annabel"}))),
        ("changelog.capture", record("o1", b"no outbox")),
        ("journal", record("audit/0", b"{}")),
    ],
)
def test_a_record_of_somebody_else_is_not(topic, raw):
    traces = Traces(["ann"])
    traces.look(topic, 0, [raw])
    assert traces.by_topic == {}


def test_a_name_is_found_as_others_escape_it():
    traces = Traces(["éva"])
    traces.look("captured", 0, [record("project:p", b'{"identity":"\\u00e9va"}')])
    assert traces.by_topic["captured"].records == 1


def test_the_receipt_counts_and_dates_by_what_is_in_force():
    traces = Traces(["ann"])
    traces.look("interactions", 0, [record("ann", b"{}", offset=3), record("ann", b"{}", offset=7)])
    traces.look("bonds", 1, [record("ann", offset=2)])
    traces.look("audits", 0, [record("ann", b"{}")])
    configs = {
        "interactions": {"cleanup.policy": "delete", "retention.ms": "5000", "segment.ms": "2000"},
        "bonds": {"cleanup.policy": "compact", "max.compaction.lag.ms": "4000", "delete.retention.ms": "1000"},
        "audits": {"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "2000"},
    }
    receipt = dated(traces.by_topic, configs, 10_000)
    assert receipt["interactions"] == {
        "records": 2,
        "tombstones": 0,
        "keys": 1,
        "offsets": {"0": [3, 7]},
        "goes_by": "retention",
        "until": 8.0,
    }
    assert (receipt["bonds"]["tombstones"], receipt["bonds"]["goes_by"], receipt["bonds"]["until"]) == (
        1,
        "compaction",
        15.0,
    )
    assert receipt["audits"]["until"] is None
