"""By which policy's waits the timekeeper places a deadline, around a switch."""

import pytest

from endocrine.agents.policy.canary import canary_policy
from endocrine.pipeline.connectors.waits import SWITCHING_S, WaitsInForce, waits_of
from endocrine.pipeline.process.policy_files import shipped_policy
from policies import policy_over

SWITCH = 1000.0


def lasting(modulation_ms, decision_ms=15_000):
    return policy_over({"conversation": {"waits": {"modulation_ms": modulation_ms, "decision_ms": decision_ms}}})


def of(waits, identity="ann", appended=SWITCH + 1e6):
    found = waits.of({"identity": identity}, appended)
    return found.modulation_s, found.decision_s


def switched(*policies):
    waits = WaitsInForce(waits_of(policies[0]))
    for policy in policies[1:]:
        waits.follow(policy, SWITCH)
    return waits


def test_what_comes_well_after_a_switch_waits_as_the_new_policy_has_it():
    assert of(switched(lasting(30_000), lasting(90_000))) == (90, 15)
    assert of(switched(lasting(30_000), lasting(5_000))) == (5, 15)


@pytest.mark.parametrize("appended", [SWITCH - 500, SWITCH, SWITCH + SWITCHING_S])
def test_what_may_have_been_decided_by_either_waits_the_longer_time(appended):
    assert of(switched(lasting(30_000, 20_000), lasting(5_000, 25_000)), appended=appended) == (30, 25)


def test_of_two_policies_in_one_each_identity_waits_by_its_own():
    both = canary_policy(lasting(30_000), lasting(90_000), 0.5)
    waits = switched(shipped_policy(), both)
    found = {name: of(waits, name)[0] for name in map(str, range(40))}
    assert found == {name: both.of(name).document.conversation.waits.modulation_ms / 1000 for name in found}
    assert set(found.values()) == {30, 90}


def test_what_is_read_back_at_a_start_covers_the_longest_wait_of_both():
    long = policy_over({"gating": {"approval_ttl_s": 7200.0}})
    assert switched(shipped_policy(), long).longest_s == 7200
    assert switched(long, shipped_policy()).longest_s == 7200
    assert switched(shipped_policy(), canary_policy(shipped_policy(), long, 0.1)).longest_s == 7200
