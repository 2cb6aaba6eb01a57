"""The evidence agent: what of observations is evidence, under which tokens, how often, and what is remembered of it."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents.attribution.agent import AGENT as ATTRIBUTION
from endocrine.agents.contract import Trigger
from endocrine.agents.evidence.agent import AGENT
from endocrine.agents.evidence.tokens import BLOCKS, distance_tokens, simhash
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy

POLICY = shipped_policy()
RULES = POLICY.document.linkage
DAY = 86_400.0
KEYSTROKE, C2, HASSH = "motor.digraph_simhash", "toolchain.c2.c2_callback_endpoint", "toolchain.ssh.hassh_client"


class Observed:
    """One identity's state, and what its observations lead to."""

    def __init__(self):
        self.state, self.fed = None, 0

    def see(self, primitive, value, ts=1_000.0):
        """The records that the observation leads to, each held to its model."""
        self.fed += 1
        observation = {"primitive": primitive, "value": value, "confidence": 1.0, "source": "t", "identity_ref": "ann",
                       "window": {"start_ts": ts, "end_ts": ts}, "ts": ts, "id": f"o{self.fed}", "v": 1}  # fmt: skip
        kept = orjson.dumps(self.state)
        before = self.state
        after, outputs = AGENT.process(before, Trigger("observations", f"o{self.fed}", "ann", observation), POLICY)
        assert orjson.dumps(before) == kept, "process changed the state it was given"
        self.state = orjson.loads(orjson.dumps(after))
        for output in outputs:
            CATALOGUE[output.topic].adapter.validate_python(dict(output.value))
            assert output.identity == output.value["token"]
        return [output.value for output in outputs]


@pytest.fixture
def ann():
    return Observed()


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=7))
def test_any_two_simhashes_within_distance_7_share_a_token(bits, flipped):
    near = bits
    for bit in flipped:
        near ^= 1 << bit
    assert set(distance_tokens(bits)) & set(distance_tokens(near))


def test_seven_bits_each_in_another_block_leave_one_token():
    near = sum(1 << low for low, _ in BLOCKS[:7])
    assert len(set(distance_tokens(0)) & set(distance_tokens(near))) == 1
    beyond = sum(1 << low for low, _ in BLOCKS[:8])
    assert not set(distance_tokens(0)) & set(distance_tokens(beyond)), "distance 8 is none of ours to find"


def test_blocks_cover_the_64_bits_once_and_give_36_tokens():
    covered = [bit for low, size in BLOCKS for bit in range(low, low + size)]
    assert covered == list(range(64))
    assert [size for _, size in BLOCKS] == [7] * 8 + [8]
    assert len(set(distance_tokens(0x0123456789ABCDEF))) == 36


def test_a_simhash_gives_36_records_and_an_exact_value_one(ann):
    many = ann.see(KEYSTROKE, "00FF00ff00ff00ff")
    assert len({one["token"] for one in many}) == len(many) == 36
    assert {(one["kind"], one["value"], one["observation_id"]) for one in many} == {
        ("keystroke", "00ff00ff00ff00ff", "o1")
    }
    (one,) = ann.see(C2, "203.0.113.9:443")
    assert (one["token"], one["kind"]) == ("$ev:c2:ed588dd93de9da883cefa0607374c439", "c2")


def test_one_text_under_two_kinds_has_two_tokens(ann):
    (first,), (second,) = ann.see(C2, "x"), ann.see(HASSH, "x")
    assert first["token"] != second["token"]


@pytest.mark.parametrize("primitive", ["motor.input_modality", "toolchain.ssh.hassh_server", "source.address"])
def test_other_primitives_leave_the_state_as_it_is(ann, primitive):
    assert ann.see(primitive, "x") == []
    assert ann.state is None
    ann.see(C2, "x")
    state = ann.state
    after, _ = AGENT.process(state, Trigger("observations", "o", "ann", {"primitive": primitive, "ts": 1.0}), POLICY)
    assert after is state, "nothing is written"


@pytest.mark.parametrize(
    ("primitive", "value"),
    [(KEYSTROKE, "ff"), (KEYSTROKE, 255), (KEYSTROKE, "0x" + 14 * "f"), (KEYSTROKE, 17 * "f"), (C2, ""), (C2, 3),
     (C2, True), (C2, ["a"]), (C2, 1025 * "a")],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_counted_and_no_evidence(ann, primitive, value):
    assert ann.see(primitive, value) == []
    assert ann.state == {"seen": {}, "ignored": 1}


def test_an_observation_from_before_1970_is_no_evidence(ann):
    assert ann.see(C2, "x", ts=-1.0) == []
    assert ann.state["ignored"] == 1


def test_a_value_is_passed_on_again_after_a_day_and_not_before(ann):
    assert ann.see(C2, "x", 0.0)
    assert not ann.see(C2, "x", DAY - 1)
    assert ann.see(C2, "y", DAY - 1), "another value is news"
    assert ann.see(C2, "x", DAY)
    assert not ann.see(C2, "x", DAY + 1), "counted from when it was last passed on"
    assert not ann.see(C2, "x", 0.0), "a late copy is no news"


def test_what_is_remembered_of_one_kind_is_bounded_and_the_oldest_goes(ann):
    for number in range(RULES.values + 1):
        assert ann.see(C2, f"c{number}", float(number))
    assert len(ann.state["seen"]["c2"]) == RULES.values
    assert not ann.see(C2, f"c{RULES.values}", float(RULES.values) + 1)
    assert ann.see(C2, "c0", float(RULES.values) + 1), "what fell out is news again"
    rng = random.Random(1)
    for _ in range(200):
        for name, kind in RULES.kinds.items():
            value = f"{rng.getrandbits(64):016x}" if name == "keystroke" else str(rng.random())
            ann.see(kind.primitive, value, rng.random() * 100 * DAY)
    assert {len(seen) for seen in ann.state["seen"].values()} == {RULES.values}
    assert len(orjson.dumps(ann.state)) < 8_000


def test_evidence_reads_what_attribution_reads_and_has_no_other_source():
    assert AGENT.sources == ATTRIBUTION.sources == ("observations",)
    assert simhash("0" * 16) == 0
