"""Which record is a decision on a call: only one that is right in everything, and the first of them."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine_client.kafka import answers
from endocrine_client.kafka.binding import digest_of
from endocrine_client.kafka.watch import AUTHORS, Following
from properties import examples

CALL = {"call_id": "c1", "tool": "look"}
DIGEST = digest_of({"query": "refunds"})
PLACE = partition_of("ann", 4)


def usually(right, *wrong):
    return st.sampled_from([right] * 6 + list(wrong))


RECORDS = st.fixed_dictionaries({
    "key": usually("ann", "bob"),
    "partition": usually(PLACE, (PLACE + 1) % 4),
    "origin": usually(b"gating/tool-calls/0/0/0", b"modulation/x", b"", None),
    "sealed": usually(True, False),
    "value": st.fixed_dictionaries({
        "identity": usually("ann", "bob", None),
        "audit_id": usually("t1", "t2", 1),
        "call_id": usually("c1", "c2"),
        "function": usually("look", "run"),
        "arguments_digest": usually(DIGEST, digest_of({}), None, [], 1),
        "decision": st.sampled_from(["allowed", "denied", "pending", "would", None]),
        "enforce": st.booleans(),
    }),
})  # fmt: skip


def fetched(record):
    headers = [("endocrine-origin", record["origin"]), ("sealed", b"x" if record["sealed"] else None)]
    return Fetched(record["partition"], 0, 0, record["key"].encode(), json.dumps(record["value"]).encode(), headers)


def counts(record):
    value, origin = record["value"], record["origin"] or b""
    ours = (record["key"], record["partition"], value["identity"], value["audit_id"]) == ("ann", PLACE, "ann", "t1")
    known = value["decision"] in ("allowed", "denied", "pending") and record["sealed"] and origin.startswith(b"gating/")
    return ours and known and (value["call_id"], value["function"]) == ("c1", "look")


def status(records):
    """By the words of the promise: the first final decision on these arguments, else a denial without a digest."""
    on_it = [one["value"]["decision"] for one in records if counts(one) and one["value"]["arguments_digest"] == DIGEST]
    unbound = [one["value"]["decision"] for one in records if counts(one) and one["value"]["arguments_digest"] is None]
    final = next((one for one in on_it if one != "pending"), on_it[-1] if on_it else None)
    if final is None and next((one for one in unbound if one != "pending"), None) == "denied":
        final = "denied"
    return {"allowed": 200, "pending": 202, "denied": 403, None: None}[final]


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(RECORDS, max_size=6))
def test_a_call_runs_on_the_first_final_decision_that_is_right_in_everything(records):
    following = Following(4, lambda topic, raw, headers: headers["sealed"] is not None)
    watch = following.turn("ann", "t1")
    for record in records:
        following.take("tool-decisions", fetched(record))
    found = answers.decided(watch, "r1", CALL, DIGEST)
    assert (found and found.status) == status(records)
    assert "enforce" not in (found.value if found else {})


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(list(AUTHORS)),
    st.one_of(st.none(), st.binary(max_size=20), st.recursive(
        st.one_of(st.none(), st.integers(), st.text(max_size=3)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
            st.sampled_from(["identity", "audit_id", "revision", "decision", "call_id"]), inner, max_size=4)),
    ).map(lambda value: json.dumps(value).encode())),
    st.one_of(st.none(), st.binary(max_size=8)),
)  # fmt: skip
def test_no_record_stops_the_reading(topic, content, header):
    following = Following(4, None)
    watch = following.turn("ann", "t1")
    headers = [("endocrine-origin", AUTHORS[topic]), ("ce_id", header), ("endocrine-error", header)]
    following.take(topic, Fetched(PLACE, 0, 0, b"ann", content, headers))
    assert answers.decided(watch, "r1", CALL, DIGEST) is None


def test_the_oldest_turn_is_forgotten_where_too_many_are_followed():
    following = Following(4, None, most=2)
    first, second = following.turn("ann", "t1"), following.turn("ann", "t2")
    assert following.turn("ann", "t1") is first
    following.turn("bob", "t3")
    assert following.turn("ann", "t1") is first
    assert following.turn("ann", "t2") is not second
