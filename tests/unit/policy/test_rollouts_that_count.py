"""Which rollouts count, and what is in force: whatever a stranger appends, in whatever order."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.policy.canary import canary_policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.core.records import SEAL, Fetched
from endocrine.pipeline.core.rollouts import KEY, TOPIC, Rollouts, standing
from endocrine.pipeline.core.seals import KeyedSeals, SealKey, simulated_seals
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.rollouts import PolicyRollout
from policies import policy_over
from properties import examples

OURS = simulated_seals()
THEIRS = KeyedSeals([SealKey("simulated", b"x" * 32)], "endocrine.")


def value(number: int, kind: str = "publish", policy: Any = None) -> dict[str, Any]:
    policy = {"n": number} if policy is None and kind != "rollback" else policy
    about = {
        "previous": None,
        "share": None,
        "candidate": None,
        "restores": None,
        "reason": None,
        "by": "op",
        "ts": 1.0,
    }
    return {"number": number, "kind": kind, "digest": policy and canonical_digest(policy), "policy": policy, **about}


def record(content: dict[str, Any] | None, seals: KeyedSeals = OURS, key: bytes = KEY, partition: int = 0) -> Fetched:
    data = None if content is None else orjson.dumps(content)
    seal = seals.seal(TOPIC, 0, KEY, data, b"id")
    return Fetched(partition, 0, 1, key, data, (("ce_id", b"id"), (SEAL, seal)))


def of(*records: Fetched) -> Rollouts:
    found = Rollouts(OURS)
    for raw in records:
        found.add(raw)
    return found


GENUINE = [record(value(n)) for n in range(1, 5)]
STRANGE = st.one_of(
    st.sampled_from(GENUINE),  # appended again
    st.integers(1, 99).map(lambda n: record(value(n), THEIRS)),
    st.integers(1, 99).map(lambda n: record(value(n), key=b"other")),
    st.integers(1, 99).map(lambda n: record(value(n), partition=1)),
    st.integers(1, 99).map(lambda n: record({**value(n), "digest": "0" * 64})),  # ours, and wrong
    st.integers(5, 99).map(lambda n: record(value(n))._replace(headers=())),
    st.binary(max_size=20).map(lambda data: Fetched(0, 0, 1, KEY, data, ())),
    st.just(record(None)),
)


@settings(max_examples=examples(300))
@given(st.lists(st.lists(STRANGE, max_size=4), min_size=5, max_size=5))
def test_nothing_that_a_stranger_appends_changes_what_is_in_force(between: list[list[Fetched]]) -> None:
    found = Rollouts(OURS)
    for number, strangers in enumerate(between):
        for raw in strangers:
            if raw not in GENUINE[number:]:  # what was not written yet cannot be copied
                found.add(raw)
        assert (found.number, len(found.entries)) == (number, number)
        if number < len(GENUINE):
            assert found.add(GENUINE[number])


def test_of_two_rollouts_under_one_number_the_first_counts() -> None:
    found = of(record(value(1, policy={"a": 1})), record(value(1, policy={"b": 1})))
    assert found.digest == canonical_digest({"a": 1})
    assert found.ignored == 1


def test_only_a_rollback_may_leave_everybody_to_the_settings() -> None:
    assert of(record({**value(1), "digest": None, "policy": None})).entries == []
    assert len(of(record(value(1, "rollback"))).entries) == 1


def numbers(*kinds: str) -> list[int]:
    entries = [PolicyRollout.model_validate(value(n, kind, {"n": n})) for n, kind in enumerate(kinds, 1)]
    return [entry.number for entry in standing(entries)]


def test_a_rollback_takes_back_the_last_one_that_is_not_taken_back() -> None:
    assert numbers("publish", "publish", "rollback") == [1]
    assert numbers("publish", "publish", "rollback", "rollback") == []
    assert numbers("publish", "rollback", "publish") == [3]
    assert numbers("publish", "canary") == [1, 2]
    assert numbers("publish", "canary", "rollback") == [1]


def test_a_canary_ends_with_whatever_follows_it() -> None:
    assert numbers("publish", "canary", "canary", "rollback") == [1]
    assert numbers("publish", "canary", "promote") == [1, 3]
    assert numbers("publish", "canary", "promote", "rollback") == [1]


def choosing(*documents: Any) -> PolicyFollower:
    """A follower that has read these documents, each published after the other; None is a rollback."""
    follower = object.__new__(PolicyFollower)
    follower.base, follower._prompt_keys, follower._compiled = shipped_policy(), {}, {}
    follower.rollouts = of(
        *[record(value(n, "publish" if one else "rollback", one)) for n, one in enumerate(documents, 1)]
    )
    return follower


def test_the_settings_policy_is_in_force_while_nothing_is_published() -> None:
    assert choosing()._choose() == (shipped_policy(), None)


def test_a_policy_that_loosens_safety_as_risk_rises_is_not_followed_though_it_is_sealed() -> None:
    good, loose = policy_over({"defaults": {"temperature": 0.1}}).resolved, dict(shipped_policy().resolved)
    loose["maps"] = {
        **loose["maps"],
        "alignment_risk": {"temperature": {"expression": "0.1 + 0.5 * x", "combine": "tightest"}},
    }
    policy, refused = choosing(good, loose)._choose()
    assert policy.resolved == good
    assert "rollout 2" in str(refused)
    assert "loosens" in str(refused)


def test_a_policy_of_a_newer_version_or_under_a_missing_key_is_not_followed_and_said_so() -> None:
    newer = {**shipped_policy().resolved, "telepathy": {}}
    keyed = policy_over({"gating": {"prompt_hmac_key_id": "0" * 16}}).resolved
    for document, why in ((newer, "telepathy"), (keyed, "prompts are hashed")):
        policy, refused = choosing(document)._choose()
        assert policy == shipped_policy()
        assert why in str(refused)


def test_a_policy_that_was_taken_back_is_not_followed_though_the_one_before_cannot_be_used() -> None:
    newer, good = {**shipped_policy().resolved, "telepathy": {}}, policy_over({"defaults": {"temperature": 0.1}})
    policy, refused = choosing(newer, good.resolved, None)._choose()
    assert policy == shipped_policy()
    assert "rollout 1" in str(refused)


def test_a_policy_of_an_earlier_version_is_followed_with_the_sections_it_lacks_as_shipped() -> None:
    earlier = {name: part for name, part in shipped_policy().resolved.items() if name != "linkage"}
    assert choosing(earlier)._choose() == (shipped_policy(), None)


def test_two_policies_in_one_are_followed_as_one() -> None:
    both = canary_policy(shipped_policy(), policy_over({"defaults": {"temperature": 0.1}}), 0.5)
    policy, refused = choosing(dict(both.resolved))._choose()
    assert (policy.digest, refused) == (both.digest, None)
    assert policy.canary is not None


def test_only_a_gateway_and_whoever_publishes_may_write_which_policy_is_in_force() -> None:
    settings = Settings()
    topic = settings.prefix + TOPIC
    writers = {
        role for role in ROLES for acl in acls_of(role, settings) if (acl.name, acl.operation) == (topic, "WRITE")
    }
    readers = {
        role for role in ROLES for acl in acls_of(role, settings) if (acl.name, acl.operation) == (topic, "READ")
    }
    assert writers == {"gateway", "publisher"}
    assert readers == {"worker", "gateway", "connector", "auditor", "operator", "publisher"}
