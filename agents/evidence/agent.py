"""The evidence agent: observations in, what of them may link identities out (memory, section 9).

- Of the primitives that the policy lists (`linkage.kinds`), a value that is new for the identity, or was last passed on
  a day ago, is passed on under each of its tokens: one for values that must be equal, 36 for a keystroke simhash.
- Anything else has no effect. A value that cannot be read (of the wrong kind, empty, too long, of a time before 1970)
  is counted, no more: its observation is attribution's to judge.
- Of each kind the newest `linkage.values` values are kept, by digest. A value that fell out is passed on again,
  which repeats evidence and invents none.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.evidence.tokens import MOST_VALUE, distance_tokens, exact_digest, exact_token, simhash
from endocrine.schemas.vocabulary import LinkKind

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules
    from endocrine.agents.policy.compiled import Policy

BEYOND = 253_402_300_800
"""The year 10000: event times of records lie before it."""
_DIGITS = 16
"""Of a digest, in hexadecimal: 8 bytes among the few values of one identity."""


class EvidenceState(TypedDict):
    """The state of an identity."""

    seen: dict[str, dict[str, float]]
    """Kind -> digest of a value -> when it was last passed on, event time in seconds."""
    ignored: int
    """Values that could not be read."""


@dataclass(frozen=True)
class EvidenceAgent:
    """See the module's docstring. State key: the identity. State: `EvidenceState`."""

    name: str = "evidence"
    sources: tuple[str, ...] = ("observations",)
    targets: tuple[str, ...] = ("link-evidence",)

    def key(self, trigger: Trigger) -> str:
        """Return the key: one state per identity; what is no evidence leaves it unread."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one observation. Never raises Reject."""
        rules = policy.document.linkage
        kind = rules.by_primitive.get(trigger.value["primitive"])
        if kind is None:
            return state, []
        known: EvidenceState = {"seen": {}, "ignored": 0} if state is None else state
        value, tokens = _tokens(kind, trigger.value["value"], rules)
        ts = trigger.value["ts"]
        if value is None or not 0 <= ts < BEYOND:
            ignored: EvidenceState = {**known, "ignored": known["ignored"] + 1}
            return ignored, []
        digest = exact_digest(value)[:_DIGITS]
        seen = known["seen"].get(kind, {})
        last = seen.get(digest)
        if last is not None and ts < last + rules.again_s:
            return state, []
        newest = sorted({**seen, digest: ts}.items(), key=lambda one: (one[1], one[0]))[-rules.values :]
        after: EvidenceState = {**known, "seen": {**known["seen"], kind: dict(newest)}}
        outputs = [
            Output(
                "link-evidence",
                token,
                {
                    "token": token,
                    "kind": kind,
                    "identity": trigger.identity,
                    "value": value,
                    "observation_id": trigger.id,
                    "ts": ts,
                },
            )
            for token in tokens
        ]
        return after, outputs


AGENT = EvidenceAgent()


def _tokens(kind: LinkKind, value: object, rules: "LinkageRules") -> tuple[str | None, list[str]]:
    """The value as it is compared, and its tokens; None where it cannot be read."""
    if rules.kinds[kind].match == "distance":
        bits = simhash(value)
        return (None, []) if bits is None else (f"{bits:016x}", distance_tokens(bits))
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_VALUE:
        return None, []
    return value, [exact_token(kind, value)]
