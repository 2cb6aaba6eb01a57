"""Decoded states that are kept between batches change nothing: not a byte of states, outputs and changelog.

The straightforward path is the measure: each record a batch of its own, so that each state is decoded and encoded
again for every record, and every output is written; of a batch's outputs under one key of a coalescing topic the last
counts.
"""

import random
from collections import Counter

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core import decoded_states
from endocrine.pipeline.core import states as states_module
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decoded_states import ENTRY_BYTES, KeyState, StateBudget
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.process.policy_files import shipped_policy
from histories import random_history, with_names
from properties import examples
from recorded import PARTITIONS, SIZES, VERSION, Recording, randomly

POLICY = shipped_policy()
BY_NAME = {agent.name: agent for agent in AGENTS}


@pytest.fixture(scope="module")
def recording():
    """Topics with the inputs of a random history, bad ones between good ones, and all that the agents made of them."""
    made, rng = Recording(), random.Random(11)
    made.feed(with_names(rng, random_history(rng, 160)))
    made.run(POLICY, randomly(4))
    return made


class Processor:
    """One agent's states on one partition, and all that left it."""

    def __init__(self, agent, n, kept=None):
        self.engine = Engine(agent, PARTITIONS, VERSION, SIZES, simulated_seals())
        self.n, self.kept = n, kept
        self.states, self.watermarks, self.left = {}, {}, []

    def made(self, records):
        return self.engine.process(records, POLICY, self.states.get, self.watermarks, partition=self.n, kept=self.kept)

    def batch(self, records):
        done = self.made(records)
        self.watermarks = done.watermarks
        keep(self.states, done.states)
        self.left.append((list(done.states.items()), done.rejected_or_rerouted, done.outputs, done.tally))
        return done

    def one_by_one(self, records):
        """The straightforward path of a batch: changes of states, dead letters and re-keyed records, outputs."""
        before, aside, outputs = dict(self.states), [], []
        for record in records:
            done = self.made([record])
            self.watermarks = done.watermarks
            keep(self.states, done.states)
            aside += done.rejected_or_rerouted
            outputs += done.outputs
        last = {(out.topic, out.key): place for place, out in enumerate(outputs)}
        changed = {
            key: self.states.get(key) for key in [*before, *self.states] if self.states.get(key) != before.get(key)
        }
        coalesced = [
            out
            for place, out in enumerate(outputs)
            if out.topic.endswith(".dlq") or not CATALOGUE[out.topic].coalesce or last[out.topic, out.key] == place
        ]
        return changed, aside, coalesced


def inputs_of(recording, agent, n):
    found = [(topic, raw) for topic in agent.sources for raw in recording.logs[topic, n]]
    return sorted(found, key=lambda pair: pair[1].timestamp)


def strictly(value):
    """A value whose equality is that of its JSON and of its types."""
    if isinstance(value, dict):
        return dict, [(name, strictly(part)) for name, part in value.items()]
    if isinstance(value, list):
        return list, [strictly(part) for part in value]
    return value.__class__, repr(value)


def assert_kept_as_stored(processor):
    """What is kept is what the stored bytes hold, types and order included."""
    deduplicated = any(CATALOGUE[topic].producer_dedup for topic in processor.engine.agent.sources)
    found = Counter()
    for key, packed in processor.states.items():
        found_state = processor.kept.take(key, packed)
        if found_state is not None and key != CHAIN_KEY:
            state, recent = unpack(packed) if deduplicated else (orjson.loads(packed), [])
            assert strictly(found_state.state) == strictly(state)
            assert found_state.recent == recent
            processor.kept.put({key: found_state})
            found["kept"] += 1
    return found["kept"]


SCRIPTS = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from(["written", "written", "written", "aborted", "restarted"])),
    min_size=1,
    max_size=12,
)


@given(
    name=st.sampled_from(sorted(BY_NAME)),
    n=st.integers(0, PARTITIONS - 1),
    script=SCRIPTS,
    most=st.sampled_from([1, 3 * ENTRY_BYTES, 20_000, 1 << 30]),
    open_bytes=st.sampled_from([0, 500, 1 << 20]),
    fresh=st.sampled_from([1, 32]),
    seen=st.booleans(),
)
@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_states_outputs_and_dead_letters_are_those_of_the_straightforward_path(
    recording, monkeypatch, name, n, script, most, open_bytes, fresh, seen
):
    monkeypatch.setattr(states_module, "OPEN_BYTES", open_bytes)
    monkeypatch.setattr(states_module, "FRESH", fresh)
    agent, budget = BY_NAME[name], StateBudget(most)
    other = budget.member()  # of another processor, which is pushed out and pushes out
    mine, plain, each = Processor(agent, n, budget.member()), Processor(agent, n), Processor(agent, n)
    records, place, turn = inputs_of(recording, agent, n), 0, 0
    if seen:  # by a life before, whose states are kept and are none of those that are stored now
        Processor(agent, n, mine.kept).batch(records)
    while place < len(records):
        size, fate = script[turn % len(script)]
        turn += 1
        some = records[place : place + size]
        if fate == "restarted":
            mine.kept.clear()
        elif fate == "aborted":
            mine.made(some)
            mine.made(some[: 1 + size // 2])  # as a batch that is cut because it is too large
        other.put({f"k{turn}": held("pushes")})
        done = mine.batch(some)
        plain.batch(some)
        changed, aside, outputs = each.one_by_one(some)
        assert done.states == changed
        assert done.rejected_or_rerouted == aside
        assert done.outputs == outputs
        assert budget.held <= most
        place += size
    assert mine.left == plain.left
    assert mine.states == each.states
    assert mine.watermarks == each.watermarks
    assert_kept_as_stored(mine)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_agent_leaves_states_that_are_the_same_once_they_were_stored(recording, name):
    for n in range(PARTITIONS):
        kept = StateBudget().member()
        records = inputs_of(recording, BY_NAME[name], n)
        for _ in range(2):  # a key is kept when it comes the second time
            mine = Processor(BY_NAME[name], n, kept)
            for first in range(0, len(records), 20):
                mine.batch(records[first : first + 20])
        own = [key for key in mine.states if key != CHAIN_KEY]
        assert assert_kept_as_stored(mine) == len(own)


# ---- the budget ----


def held(text):
    """A state that was kept before."""
    made = KeyState(orjson.dumps(text), text, [])
    made.used = 0
    return made


def cost_of(text):
    budget = StateBudget()
    budget.member().put({"k": held(text)})
    return budget.held


def test_a_state_is_kept_when_its_key_comes_the_second_time():
    kept = StateBudget().member()
    kept.put({"k": KeyState(b"1", 1, [])})
    assert len(kept) == 0
    kept.put({"k": KeyState(b"2", 2, [])})
    assert kept.take("k", b"2").state == 2


def test_keys_that_came_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(decoded_states, "SEEN", 2)
    kept = StateBudget().member()
    for n in range(9):
        kept.put({f"k{n}": KeyState(b"1", 1, [])})
    for name in ("k0", "k8"):
        kept.put({name: KeyState(b"2", 2, [])})
    assert kept.take("k0", b"2") is None
    assert kept.take("k8", b"2") is not None


def test_a_state_is_used_only_for_the_very_bytes_that_the_store_holds():
    kept = StateBudget().member()
    kept.put({"k": held("a")})
    assert kept.take("k", orjson.dumps("b")) is None
    assert kept.take("k", orjson.dumps("a")) is None, "it was dropped, as it is not what is stored"
    kept.put({"k": held("a")})
    assert kept.take("k", None) is None
    kept.put({"k": held("a")})
    found = kept.take("k", orjson.dumps("a"))
    assert found is not None
    assert found.state == "a"


def test_what_was_used_least_recently_goes_first_whosever_it_is():
    budget = StateBudget(3 * cost_of("a"))
    mine, other = budget.member(), budget.member()
    mine.put({"1": held("a")})
    other.put({"2": held("b")})
    mine.put({"3": held("c")})
    again = mine.take("1", orjson.dumps("a"))
    mine.put({"1": again})
    mine.put({"4": held("d")})
    assert other.take("2", orjson.dumps("b")) is None
    for key, text in {"1": "a", "3": "c", "4": "d"}.items():
        assert mine.take(key, orjson.dumps(text)) is not None
    assert budget.held == 0


def test_the_bound_holds_after_every_batch_and_finished_states_are_not_kept():
    budget = StateBudget(2 * cost_of("aa"))
    kept = budget.member()
    kept.put({f"k{n}": held("aa") for n in range(10)})
    assert (len(kept), budget.held) == (2, 2 * cost_of("aa"))
    kept.put({"k9": KeyState(None, None, [])})
    assert len(kept) == 2
    kept.clear()
    assert (len(kept), budget.held) == (0, 0)
