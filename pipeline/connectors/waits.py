"""How long agents wait, by the policy that they decide by: in force now, or a moment ago. Pure."""

from dataclasses import fields
from typing import Any

from endocrine.agents.policy.canary import arms
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.deadlines import Waits

SWITCHING_S = 60.0
"""Seconds after a switch for which an agent may have decided by the policy before: it follows on its own."""


def waits_of(policy: Policy) -> Waits:
    """Return the waits of a policy; of two in one, those of its base."""
    waits = policy.document.conversation.waits
    approval_s = policy.document.gating.approval_ttl_s
    grace_s = waits.reply_grace_ms / 1000
    hold_s = policy.document.review.hold_s
    each = (waits.modulation_ms, waits.decision_ms, waits.result_ms, waits.continuation_ms, waits.reply_ms)
    return Waits(
        modulation_s=waits.modulation_ms / 1000,
        decision_s=waits.decision_ms / 1000,
        result_s=waits.result_ms / 1000,
        continuation_s=waits.continuation_ms / 1000,
        reply_grace_s=grace_s,
        longest_s=max(max(each) / 1000 + grace_s, approval_s, hold_s),
    )


def longer(one: Waits, other: Waits) -> Waits:
    """Return the longer of each wait."""
    return Waits(**{field.name: max(getattr(one, field.name), getattr(other, field.name)) for field in fields(Waits)})


class WaitsInForce:
    """The waits by which a deadline is placed. An agent keeps a deadline as it was placed, whatever comes later.

    Of a record from before a switch, or from shortly after it, one cannot see by which policy it was decided: the
    longer wait counts. A tick that is late lets a turn end late; one that is early lets nothing end.
    """

    def __init__(self, start: Waits) -> None:
        self._start = start
        self._policy: Policy | None = None
        self._before: WaitsInForce | None = None
        self._switched = 0.0

    def follow(self, policy: Policy, now: float) -> None:
        """Go by another policy. now: seconds since 1970."""
        before = WaitsInForce(self._start)
        before._policy = self._policy
        self._before, self._policy, self._switched = before, policy, now

    def of(self, value: Any, appended: float) -> Waits:
        """Return the waits for a record of a topic of identities. appended: seconds since 1970."""
        found = self._now(value["identity"])
        if self._before is None or appended > self._switched + SWITCHING_S:
            return found
        return longer(found, self._before._now(value["identity"]))

    @property
    def longest_s(self) -> float:
        """The longest wait that a turn may be in."""
        ours = [self._start] if self._policy is None else [waits_of(arm) for arm in arms(self._policy)]
        return max([wait.longest_s for wait in ours] + ([] if self._before is None else [self._before.longest_s]))

    def _now(self, identity: str) -> Waits:
        return self._start if self._policy is None else waits_of(self._policy.of(identity))
