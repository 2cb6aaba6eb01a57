"""A batch of more keys and outputs than are held open at once comes to the same as the same records in small ones."""

import random

import orjson
import pytest

from endocrine.agents.registry import ATTRIBUTION, MODULATION
from endocrine.pipeline.core import states as states_module
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.outputs import COALESCING, PENDING
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.states import LEAST_BYTES, keep
from endocrine.pipeline.process.policy_files import shipped_policy

PEOPLE = 192
RECORDS = 4 * PEOPLE


def observations(people=PEOPLE):
    rng = random.Random(5)
    for n in range(RECORDS):
        who, ts = f"user-{rng.randrange(people)}", 1_760_000_000.0 + n
        yield "observations", who, {
            "primitive": rng.choice(["x.label", "x.other"]),
            "value": rng.choice(["low", "high"]),
            "confidence": 0.8,
            "window": {"start_ts": ts - 30.0, "end_ts": ts},
            "source": "sensor",
            "identity_ref": who,
            "ts": ts,
            "id": f"o{rng.randrange(RECORDS)}",
            "v": 1,
        }  # fmt: skip


def observations_of_many():
    """Keys come again seldom: outputs are written before the batch's end, and some of them in vain."""
    return observations(10 * PEOPLE)


def turns():
    rng = random.Random(6)
    for n in range(RECORDS):
        who, ts = f"user-{rng.randrange(PEOPLE)}", 1_760_000_000.0 + n
        turn = {"audit_id": f"turn-{rng.randrange(RECORDS)}", "identity": who, "ts": ts, "id": f"r{n}"}
        if rng.random() < 0.7:
            yield "interactions", who, {
                "kind": "opened", **turn, "session_id": "s", "turn": n, "client": "c", "prompt": "What now?"
            }  # fmt: skip
        else:
            yield "interactions", who, {"kind": "closed", **turn, "response": "This."}


def run(agent, given, size):
    engine, policy = Engine(agent, 1, "test", Sizes(), simulated_seals()), shipped_policy()
    records = [
        (topic, Fetched(0, n, 1_760_000_000_000 + 1000 * n, who.encode(), orjson.dumps(value)))
        for n, (topic, who, value) in enumerate(given)
    ]
    states, watermarks, said = {}, {}, []
    for first in range(0, len(records), size):
        done = engine.process(records[first : first + size], policy, states.get, watermarks, partition=0)
        watermarks = done.watermarks
        keep(states, done.states)
        said += done.outputs
    return states, said


@pytest.mark.parametrize(
    ("agent", "given"), [(ATTRIBUTION, observations), (ATTRIBUTION, observations_of_many), (MODULATION, turns)]
)
def test_states_and_outputs_do_not_depend_on_how_much_is_held_open(agent, given, monkeypatch):
    monkeypatch.setattr(states_module, "OPEN_BYTES", 64 * LEAST_BYTES)
    assert PENDING < PEOPLE
    assert 2 * COALESCING < RECORDS
    states, said = run(agent, given(), RECORDS)
    small_states, small_said = run(agent, given(), 7)
    assert states == small_states
    assert len(states) > 128  # so many new keys that some were closed before the batch's end
    # Of a coalescing topic a batch says only the last record of each key, where that last one stands.
    last = {(out.topic, out.key): place for place, out in enumerate(small_said)}
    expected = [
        out
        for place, out in enumerate(small_said)
        if not CATALOGUE[out.topic].coalesce or last[out.topic, out.key] == place
    ]
    assert said == expected
    assert len(said) > 2 * PENDING


def test_what_is_kept_of_an_output_is_what_was_asked_for_in_the_same_order():
    engine, policy = Engine(ATTRIBUTION, 1, "test", Sizes(), simulated_seals()), shipped_policy()
    for given in (observations, observations_of_many):
        records = [
            (topic, Fetched(0, n, 1_760_000_000_000 + 1000 * n, who.encode(), orjson.dumps(value)))
            for n, (topic, who, value) in enumerate(given())
        ]
        plain = engine.process(records, policy, {}.get, {}, partition=0).outputs
        kept = engine.process(records, policy, {}.get, {}, partition=0, form=lambda out: (out.key, out.value)).outputs
        assert kept == [(out.key, out.value) for out in plain]
