"""Real BEHAVE observations, made by the published packages, pass through unchanged."""

import json
from collections import Counter

import behave_shell.spec
import behave_text.spec
import orjson
import pytest
from behave_core.spec import Observation as CoreObservation

from endocrine.agents.attribution.agent import AGENT
from endocrine.agents.contract import Trigger
from endocrine.pipeline.core.catalogue import CATALOGUE

PACKAGES = [behave_shell.spec, behave_text.spec]
OBSERVATIONS = CATALOGUE["observations"].adapter


def values_of(spec):
    """Three different values that the primitive's own specification accepts (two booleans, labels as there are)."""
    kind = spec.kind.value
    low = 0.0 if spec.min_val is None else spec.min_val
    high = low + 1.0 if spec.max_val is None else spec.max_val
    if kind == "categorical":
        return (spec.allowed or ["a", "b", "c"])[:3]
    if kind == "numeric":
        return [low, high, int(low)]
    if kind == "bool":
        return [True, False]
    if kind == "array":
        return [[1, 2.5, 3], [4, 5]] if spec.array_of.value == "numeric" else [["a", "b"], [], ["é"]]
    return ["0f" * 32, "1e" * 32, "de-CH"]


def made_by(package):
    for n, (primitive, spec) in enumerate(package.PRIMITIVE_REGISTRY.items()):
        for m, value in enumerate(values_of(spec)):
            yield package.Observation(
                primitive=primitive,
                value=value,
                confidence=1 if m else 0.25,
                window=package.Window(start_ts=1_714_000_000 + n, end_ts=1_714_000_000.5 + n),
                source="test/sensor.py",
                evidence_ref=None if m else "tape:1",
                identity_ref="0d9f2f2a-6a55-4b3e-9d1c-000000000001",
                ts=1_714_000_001.25 + n + m,
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_what_behave_publishes_is_accepted_unchanged(package):
    by_primitive = Counter()
    for made in made_by(package):
        text = made.model_dump_json()
        valid = OBSERVATIONS.validate_json(text)
        assert json.dumps(valid) == json.dumps(json.loads(text))
        assert package.Observation.model_validate(valid) == made
        short = made.model_dump_json(exclude_none=True)
        assert json.dumps(OBSERVATIONS.validate_json(short)) == json.dumps(json.loads(short))
        by_primitive[made.primitive] += 1
    assert by_primitive.keys() == package.PRIMITIVE_REGISTRY.keys()


@pytest.mark.parametrize("package", PACKAGES)
def test_what_behave_publishes_is_attributed_by_its_kind(package, policy):
    states = {}
    for made in made_by(package):
        valid = OBSERVATIONS.validate_json(made.model_dump_json())
        trigger = Trigger("observations", valid["id"], "ann", valid)
        key = AGENT.key(trigger)
        states[key], outputs = AGENT.process(states.get(key), trigger, policy)
        CATALOGUE["attribution-states"].adapter.validate_json(orjson.dumps(outputs[0].value))
        kind = package.PRIMITIVE_REGISTRY[made.primitive].kind.value
        assert states[key][0] == {"numeric": "n", "hash": "h"}.get(kind, "c")
    assert len(states) == len(package.PRIMITIVE_REGISTRY)


@pytest.mark.parametrize("value", ["", 7, 2**70, 1.5, True, [], [1, 2.5], ["a"], {}, {"a": [None, {"b": False}]}])
def test_every_shape_of_the_core_envelope_is_accepted_unchanged(value):
    window = {"start_ts": 5, "end_ts": 5}
    made = CoreObservation(primitive="x.y", value=value, confidence=0, window=window, source="s", identity_ref="ann")
    text = made.model_dump_json()
    assert json.dumps(OBSERVATIONS.validate_json(text)) == json.dumps(json.loads(text))


def test_the_shipped_kinds_are_those_of_the_installed_packages(policy):
    published = {name: spec.kind.value for package in PACKAGES for name, spec in package.PRIMITIVE_REGISTRY.items()}
    assert policy.document.primitives == published
    assert list(policy.document.primitives) == sorted(published)
