"""Two policies in one: who is decided under which, and what is refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.policy.canary import (
    arms,
    as_published,
    canary_document,
    canary_policy,
    compile_published,
    within,
)
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.errors import PolicyError
from endocrine.pipeline.process.policy_files import shipped_policy
from policies import policy_over
from properties import examples

BASE, CANDIDATE = shipped_policy(), policy_over({"defaults": {"temperature": 0.1}})
SHIPPED = BASE.resolved
IDENTITIES = st.text(max_size=40)


def again(document: Any) -> Policy:
    return compile_published(document, {}, SHIPPED)


@settings(max_examples=examples(200))
@given(IDENTITIES, st.floats(0.01, 0.99))
def test_an_identity_is_decided_under_one_of_the_two_and_the_same_after_publishing(identity: str, share: float) -> None:
    both = canary_policy(BASE, CANDIDATE, share)
    assert both.of(identity) in arms(both)
    assert again(both.resolved).digest == both.digest
    assert again(both.resolved).of(identity).digest == both.of(identity).digest


@settings(max_examples=examples(200))
@given(IDENTITIES, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_an_identity_in_a_share_stays_in_a_larger_one(identity: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert within(identity, CANDIDATE.digest, small) <= within(identity, CANDIDATE.digest, large)


def test_about_the_share_of_identities_is_in_it() -> None:
    found = sum(within(f"person-{number}", CANDIDATE.digest, 0.1) for number in range(10_000))
    assert 850 < found < 1150


def test_the_digest_covers_both_documents_and_the_share() -> None:
    other = policy_over({"defaults": {"temperature": 0.2}})
    digests = {
        canary_policy(*one).digest
        for one in [(BASE, CANDIDATE, 0.1), (BASE, CANDIDATE, 0.2), (CANDIDATE, BASE, 0.1), (BASE, other, 0.1)]
    }
    assert len(digests | {BASE.digest, CANDIDATE.digest, other.digest}) == 7


def test_a_policy_without_a_canary_decides_everybody() -> None:
    assert BASE.of("ann") is BASE
    assert arms(BASE) == (BASE,)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan"), 1, "0.1", None, True])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(PolicyError, match=r"canary\.share"):
        again(canary_document(BASE.resolved, CANDIDATE.resolved, share))


def test_a_candidate_that_is_the_base_or_has_another_time_is_refused() -> None:
    with pytest.raises(PolicyError, match="the candidate is the base"):
        canary_policy(BASE, BASE, 0.1)
    with pytest.raises(PolicyError, match="time"):
        canary_policy(BASE, policy_over({"time": {"ahead_s": 7.0}}), 0.1)


@pytest.mark.parametrize("arm", ["base", "candidate"])
def test_a_canary_that_loosens_safety_as_risk_rises_is_refused_in_either_document(arm: str) -> None:
    loose = {**SHIPPED, "maps": {**SHIPPED["maps"]}}
    loose["maps"]["alignment_risk"] = {"temperature": {"expression": "0.1 + 0.5 * x", "combine": "tightest"}}
    pair = (loose, CANDIDATE.resolved) if arm == "base" else (BASE.resolved, loose)
    with pytest.raises(PolicyError, match="loosens"):
        again(canary_document(*pair, 0.1))


@pytest.mark.parametrize("given", [None, 7, {}, {"share": 0.1}, {"share": 0.1, "policy": 7}])
def test_a_canary_that_is_malformed_is_refused(given: Any) -> None:
    document = {**SHIPPED, "canary": given}
    if given is None:
        assert again(document) == BASE
        return
    with pytest.raises(PolicyError):
        again(document)


def test_a_canary_of_an_earlier_version_keeps_the_digest_it_was_published_under() -> None:
    def without(resolved: Any) -> dict[str, Any]:
        return {name: section for name, section in resolved.items() if name != "linkage"}

    document = canary_document(without(BASE.resolved), without(CANDIDATE.resolved), 0.3)
    found = as_published(again(document), document)
    assert found.digest == canonical_digest(document)
    assert {found.of(f"p{n}").digest for n in range(50)} == {
        canonical_digest(without(BASE.resolved)), canonical_digest(without(CANDIDATE.resolved)),
    }  # fmt: skip
