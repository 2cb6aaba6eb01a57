"""One batch of the engine at its bounds: append time 0, headers to the byte, the room that outputs need."""

import orjson
import pytest

from endocrine.agents.contract import Output
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, ORIGIN, REKEYED_FROM, SEAL, Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import OUTPUT_HEADERS, Sizes, headers_bytes
from endocrine.pipeline.process.policy_files import shipped_policy

PARTITION = partition_of("ann", 4)
OTHER = next(name for name in ("bob", "cy", "dee", "eve") if partition_of(name, 4) != PARTITION)
OPENED = {
    "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
    "prompt": "Hello?", "ts": 1000.0,
}  # fmt: skip


def processed(*headers, timestamp=1_000_000, ts=1000.0, value=None, key=b"ann", agent="modulation"):
    agent = next(one for one in AGENTS if one.name == agent) if isinstance(agent, str) else agent
    engine = Engine(agent, 4, "1", Sizes(value=2000, headers=200, topic=200_000), simulated_seals())
    content = orjson.dumps({**OPENED, "ts": ts}) if value is None else value
    raw = Fetched(PARTITION, 0, timestamp, key, content, headers)
    return engine.process([("interactions", raw)], shipped_policy(), lambda _: None, {}, partition=PARTITION)


@pytest.mark.parametrize(("timestamp", "kind"), [(-1, None), (0, b"future_time"), (1, b"future_time")])
def test_an_append_time_of_nought_is_a_time_and_bounds_what_is_claimed(timestamp, kind):
    done = processed(timestamp=timestamp)
    kinds = [dict(letter.own)["endocrine-error-kind"] for letter in done.rejected_or_rerouted]
    assert kinds == ([] if kind is None else [kind])
    assert done.tally.dead == (kind is not None)


def test_headers_as_long_as_the_bound_are_read_and_one_byte_more_is_a_dead_letter():
    just = ("x", b"y" * (200 - headers_bytes([("x", b"")])))
    assert processed(just).tally.prepared == 1
    done = processed(("x", just[1] + b"y"))
    assert done.tally.prepared == 0
    assert [dict(letter.own)["endocrine-error-kind"] for letter in done.rejected_or_rerouted] == [b"headers_too_large"]
    assert (
        b"1 headers of 201 bytes together; expected at most 200"
        in (dict(done.rejected_or_rerouted[0].own)["endocrine-error"])
    )


def test_the_longest_output_counts_with_room_for_its_key_and_headers_and_none_counts_nothing():
    done = processed()
    assert done.largest == max(len(out.value) for out in done.outputs) + OUTPUT_HEADERS
    assert processed(value=b"{}").largest == 0


def test_what_became_of_each_record_is_counted_once():
    tally = processed().tally
    assert (tally.read, tally.prepared, tally.dead, tally.rejected, tally.copies, tally.failed) == (1, 1, 0, 0, 0, 0)
    tally = processed(value=b"{}").tally
    assert (tally.read, tally.prepared, tally.dead, tally.rejected, tally.copies, tally.failed) == (1, 0, 1, 0, 0, 0)


@pytest.mark.parametrize(("agent", "owner"), [("modulation", True), ("conversation", False)])
def test_of_the_agents_that_read_a_topic_its_owner_alone_forwards_and_dead_letters(agent, owner):
    misrouted = processed(key=b"not-ann", agent=agent)
    assert misrouted.tally.rekeyed == 1
    assert [out.topic for out in misrouted.rejected_or_rerouted] == (["interactions"] if owner else [])
    malformed = processed(value=b"{}", agent=agent)
    assert malformed.tally.dead == 1
    assert [out.topic for out in malformed.rejected_or_rerouted] == (["interactions.dlq"] if owner else [])


class Failing:
    """The modulation agent with a fault of our own code."""

    def __init__(self):
        self._agent = next(one for one in AGENTS if one.name == "modulation")

    def __getattr__(self, name):
        return getattr(self._agent, name)

    def process(self, state, trigger, policy):
        raise ZeroDivisionError("with content of the record")


def test_a_failure_of_an_agent_counts_for_the_fuse_and_its_dead_letter_says_where_and_no_content():
    done = processed(agent=Failing())
    assert (done.tally.failed, done.tally.rejected, done.tally.dead) == (1, 1, 0)
    (letter,) = done.outputs
    error = dict(letter.own)["endocrine-error"].decode()
    assert dict(letter.own)["endocrine-error-kind"] == b"agent_error"
    assert error.startswith("modulation failed: ZeroDivisionError at ")
    assert "test_batch_bounds:" in error
    assert "content" not in error


def sealed(key, ce_id, origin=None):
    """Headers of ours for the opening, with another one."""
    value = orjson.dumps(OPENED)
    seal = simulated_seals().seal("interactions", PARTITION, key, value, ce_id, origin)
    own = ((ORIGIN, origin),) if origin is not None else ()
    return (("x", b"1"), (CE_ID, ce_id), *own, (SEAL, seal))


def test_a_forwarded_record_of_ours_keeps_no_header_that_holds_no_more_and_is_sealed_anew():
    done = processed(*sealed(b"other", b"id", b"conversation/model-replies/0/1/0"), key=b"other")
    (out,) = done.rejected_or_rerouted
    assert [name for name, _ in out.own] == ["x", CE_ID, REKEYED_FROM, SEAL]
    assert (out.key, out.partition, dict(out.own)[CE_ID]) == (b"ann", PARTITION, b"id")
    again = Fetched(out.partition, 5, 0, out.key, out.value, out.own)
    assert simulated_seals().valid("interactions", again, dict(out.own))


@pytest.mark.parametrize("origin", [None, b"conversation/model-replies/0/1/0"])
def test_a_second_copy_of_a_sealed_record_changes_nothing_by_its_id_or_by_its_origin(origin):
    agent = next(one for one in AGENTS if one.name == "modulation")
    engine = Engine(agent, 4, "1", Sizes(), simulated_seals())
    headers = sealed(b"ann", b"id", origin)
    raws = [("interactions", Fetched(PARTITION, n, 10**6, b"ann", orjson.dumps(OPENED), headers)) for n in range(2)]
    done = engine.process(raws, shipped_policy(), lambda _: None, {}, partition=PARTITION)
    assert (done.tally.prepared, done.tally.copies) == (1, 1)
    assert len(done.outputs) == 1
    assert bool(done.watermarks) is (origin is not None)


class Telling(Failing):
    """The modulation agent, which writes about its own identity and about another one."""

    def process(self, state, trigger, policy):
        return state, [Output("modulations", name, {"identity": name}) for name in ("ann", OTHER)]


def test_an_output_about_another_identity_lies_on_its_partition_under_its_key():
    own, other = processed(agent=Telling()).outputs
    assert partition_of(OTHER, 4) != PARTITION
    for out, name, place in ((own, "ann", PARTITION), (other, OTHER, partition_of(OTHER, 4))):
        assert (out.topic, out.partition, out.key) == ("modulations", place, name.encode())
        headers = dict(out.own)
        assert headers["ce_subject"] == name.encode()
        assert simulated_seals().valid("modulations", Fetched(place, 0, 0, out.key, out.value, out.own), headers)
    assert [dict(out.own)[ORIGIN].rpartition(b"/")[2] for out in (own, other)] == [b"0", b"1"]
