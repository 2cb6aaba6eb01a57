"""An erasure carried out on agents: nothing that is remembered names the subject, and replay proves every byte."""

import random

import orjson
import pytest

import histories
import link_histories
import memory_histories
from endocrine.pipeline.core.catalogue import CATALOGUE

COMPACTED = [name for name, topic in CATALOGUE.items() if topic.cleanup == "compact" and name != "policies"]


def named(name):
    """The name as a string of JSON."""
    return orjson.dumps(name)


def holders(world, name):
    """Agents and keys of states, topics and keys of compacted records, that name it."""
    wanted = named(name)
    states = {
        (agent, key)
        for agent, found in world.stored().items()
        for key, state in found.items()
        if wanted in state or key == name or key.startswith(f"{name}/") or wanted.decode() in key
    }
    records = {
        (topic, key)
        for topic in COMPACTED
        for key, value in world.latest(topic).items()
        if wanted in value or key == name or key.startswith(f"{name}/") or wanted.decode() in key
    }
    return states | records


@pytest.mark.parametrize(("seed", "name"), [(1, "ann"), (2, "max"), (3, "bob")])
def test_nothing_remembered_names_an_erased_subject_and_replay_proves_it(new_world, seed, name):
    rng, world = random.Random(seed), new_world(seed)
    world.lines(histories.random_history(rng, 60))
    world.lines(link_histories.link_history(rng, 60))
    world.lines(memory_histories.memory_history(rng, 60))
    before, reduced = world.stored(), {(one.agent, one.key) for one in world.plan(name).erasures}
    world.erase(name)
    assert holders(world, name) == set()
    after = world.stored()
    for agent, states in before.items():
        for key, state in states.items():
            if (agent, key) not in reduced:
                assert after[agent][key] == state, (agent, key)
    assert world.plan(name).is_empty
    assert world.verified().proved
