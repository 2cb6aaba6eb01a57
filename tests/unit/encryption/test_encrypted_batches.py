"""A batch over encrypted content: what is passed over, what is refused, what is a copy, and what comes first."""

import orjson
import pytest

from encrypting import on_topic, table
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.content_keys import TOPIC, KeyUnknown
from endocrine.pipeline.core.encryption import closed, key_ids_in, opened
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy

POLICY, SEALS = shipped_policy(), simulated_seals()
FEEDBACK, MEMORY = (next(one for one in AGENTS if one.name == name) for name in ("feedback", "memory"))
CARD = {
    "id": "f1",
    "identity": "ann",
    "target_action_id": "t",
    "rating": 5,
    "note": "so helpful",
    "tags": [],
    "ts": 1.0,
}
CREATE = {"id": "c1", "identity": "ann", "kind": "memory_create", "type": "knowledge", "content": "likes tea",
          "by": "op", "ts": 1.0}  # fmt: skip


def engine(keys, agent=FEEDBACK):
    return Engine(agent, 1, "v", Sizes(), SEALS, keys=keys)


def record(topic, value, keys, offset=0):
    written = closed(topic, value["identity"], value, keys)[0]
    return topic, Fetched(0, offset, 2_000, value["identity"].encode(), orjson.dumps(written), ())


def processed(by, records, states=None):
    return by.process(records, POLICY, (states or {}).get, {}, partition=0)


def outputs(done, topic):
    return [out for out in done.outputs if out.topic == topic]


def test_what_an_agent_says_is_encrypted_and_its_key_is_produced_before_it():
    keys = table()
    done = processed(engine(keys, MEMORY), [record("commands", CREATE, keys)])
    (memory,) = outputs(done, "memories")
    assert b"tea" not in memory.value
    assert orjson.loads(opened("memories", memory.value, keys))["content"] == "likes tea"
    assert done.key_ids == key_ids_in(memory.value)
    assert [out.topic for out in done.rejected_or_rerouted] == [TOPIC]
    keys.saved(done.rejected_or_rerouted)
    assert processed(engine(keys, MEMORY), [record("commands", CREATE, keys)]).rejected_or_rerouted == []


def test_a_seal_covers_what_lies_on_the_topic():
    keys = table()
    done = processed(engine(keys, MEMORY), [record("commands", CREATE, keys)])
    (memory,) = outputs(done, "memories")
    raw = Fetched(memory.partition, 0, 0, memory.key, memory.value, memory.own)
    assert SEALS.valid("memories", raw, dict(raw.headers))


def test_without_the_switch_content_is_read_and_nothing_is_encrypted():
    keys = table()
    given = record("commands", CREATE, keys)
    keys.encrypts = False
    done = processed(engine(keys, MEMORY), [given])
    (memory,) = outputs(done, "memories")
    assert orjson.loads(memory.value)["content"] == "likes tea"
    assert done.key_ids is None
    assert not done.rejected_or_rerouted


def test_a_record_whose_key_was_destroyed_is_passed_over_and_on_record():
    keys = table()
    given = record("feedback", CARD, keys)
    keys.add(on_topic(keys.destroying(["ann"], 5.0)))
    done = processed(engine(keys), [given])
    assert (done.outputs, done.states, done.unreadable) == ([], {}, [("feedback", 0)])
    assert done.tally.dead == 0


def test_a_stranger_who_names_a_key_that_there_is_not_writes_a_dead_letter():
    value = orjson.dumps({**CARD, "note": None, "encrypted": "0123456789abcdef:aGVsbG8="})
    raw = Fetched(0, 0, 2_000, b"ann", value, ())
    done = processed(engine(table()), [("feedback", raw)])
    assert [out.topic for out in done.rejected_or_rerouted] == ["feedback.dlq"]


def test_a_record_of_ours_whose_key_is_nowhere_stops_the_worker():
    _, raw = record("feedback", CARD, table())
    sealed = SEALS.seal("feedback", 0, raw.key, raw.value, b"f1")
    raw = raw._replace(headers=(("ce_id", b"f1"), ("endocrine-seal", sealed)))
    with pytest.raises(KeyUnknown):
        processed(engine(table()), [("feedback", raw)])


def test_a_retry_under_another_key_is_a_copy():
    """A door that was started anew makes a key of its own, and its client asks again."""
    one, other, both = table(), table(), table()
    first, again = record("feedback", CARD, one), record("feedback", CARD, other, offset=1)
    for keys in (one, other):
        both.add(on_topic(keys.unsaved([keys.writing("ann")[0]])))
    assert first[1].value != again[1].value
    done = processed(engine(both), [first, again])
    assert (done.tally.copies, done.tally.rejected) == (1, 0)


def test_a_misrouted_record_is_sent_on_as_it_lies_there():
    keys = table()
    topic, raw = record("feedback", CARD, keys)
    done = processed(engine(keys), [(topic, raw._replace(key=b"bob"))])
    (moved,) = [out for out in done.rejected_or_rerouted if out.topic == topic]
    assert (moved.key, moved.value) == (b"ann", raw.value)
