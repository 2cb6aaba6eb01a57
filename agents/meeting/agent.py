"""The meeting agent: evidence under one token in, hints about pairs of identities out (memory, section 9).

- Two identities that hold one value, or keystroke values near each other, are hinted: when they first meet, when they
  come nearer to each other, and again once their last hint is a day old.
- A value that more than `linkage.common_above` identities hold is common, a tool's and not a person's: pairs that were
  hinted are hinted once more with `common: true`, which withdraws them, and no new pair of an exact value is. Of
  keystrokes an identity with too many others near it makes its pairs common; as its other values may have fewer near
  them, new pairs of it are reported as common too, as long as there is room to keep them.
- Of the tokens that two keystroke values share the first one hints, so that they are hinted once.
- Who came first plays no part: the hints of one set of evidence, in any order, agree on pairs, distances and what is
  common, as long as no bound bites and it spans no more than `linkage.holder_days`. A bound that bites is reported
  (`capped`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from endocrine.agents.canonical import canonical_json
from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.evidence.tokens import exact_digest, first_shared
from endocrine.agents.meeting.holders import (
    DAY_S,
    Crowd,
    MeetingState,
    Pair,
    Row,
    pair_key,
    pairs_of,
    rows_of,
    with_row,
)
from endocrine.schemas.linkage import Evidence

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules
    from endocrine.agents.policy.compiled import Policy


@dataclass(frozen=True)
class MeetingAgent:
    """See the module's docstring. State key: the token. State: `MeetingState`."""

    name: str = "meeting"
    sources: tuple[str, ...] = ("link-evidence",)
    targets: tuple[str, ...] = ("link-hints",)

    def key(self, trigger: Trigger) -> str:
        """Return the token, which is the record's key."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one piece of evidence. Never raises Reject."""
        evidence: Evidence = trigger.value
        known: MeetingState | None = state
        rules = policy.document.linkage
        if evidence.kind not in rules.kinds:
            return state, []
        clock = evidence.ts if known is None else max(known["clock"], evidence.ts)
        since = clock - rules.holder_days * DAY_S
        near_values = rules.kinds[evidence.kind].match == "distance"
        row = Row(evidence.identity, evidence.value if near_values else "", evidence.ts, evidence.observation_id)
        before = rows_of(known, since)
        if row.ts < since or any(other[:2] == row[:2] and other.ts >= row.ts for other in before):
            return state, []  # too late, or nothing new
        rows, fell_out = with_row(before, row, rules)
        capped = clock if fell_out else None if known is None else known["capped"]
        if capped is not None and capped < since:
            capped = None
        if row not in rows:  # older than all that there is room for
            return {**known, "capped": clock} if known else None, []
        meeting = _Meeting(
            token=evidence.token,
            row=row,
            exact_digest=None if near_values else exact_digest(evidence.value),
            crowd=Crowd(rows, rules.distance_below),
            pairs=pairs_of(known, clock - rules.evidence_days * DAY_S),
            rules=rules,
        )
        hinted = meeting.hinted()
        outputs = [
            _hint(evidence, key, pair, meeting.crowd.holders, near_values=near_values, capped=capped is not None)
            for key, pair in hinted
        ]
        after: MeetingState = {
            "clock": clock,
            "rows": [list(one) for one in rows],
            "pairs": {key: pair.plain() for key, pair in meeting.kept(hinted).items()},
            "capped": capped,
        }
        return after, outputs


AGENT = MeetingAgent()
Hinted = tuple[str, Pair]
"""A pair's key, and what is hinted."""


@dataclass(frozen=True)
class _Meeting:
    """One row that is new, among the others of its token."""

    token: str
    row: Row
    exact_digest: str | None
    """Of the value, where values must be equal."""
    crowd: Crowd
    pairs: dict[str, Pair]
    rules: "LinkageRules"

    def hinted(self) -> list[Hinted]:
        """Return the pairs of the new row, by the other's name; then those that became common through it, by their
        key."""
        if self.exact_digest is not None and self._is_common(self.row.identity):
            return self._became_common(None)
        near = self.crowd.near(self.row)
        found = []
        for identity, (bits, other) in near.items():
            if self.exact_digest is None and self.token != first_shared(int(self.row.value, 16), int(other.value, 16)):
                continue  # they meet under other tokens too: the first one hints
            key = pair_key(self.row.identity, identity)
            pair = self._pair(bits, other, common=self._is_common(self.row.identity, identity))
            if self._is_news(self.pairs.get(key), pair):
                found.append((key, pair))
        named = {key for key, _ in found}
        return [*found, *(one for one in self._became_common({self.row.identity, *near}) if one[0] not in named)]

    def kept(self, hinted: list[Hinted]) -> dict[str, Pair]:
        """Return the pairs with what was hinted, the latest within their bound; in one order, whoever came first."""
        merged = self.pairs | dict(hinted)
        latest = sorted(merged.items(), key=lambda one: (one[1].ts, one[0]))[-self.rules.pairs :]
        return dict(latest)

    def _is_common(self, *names: str) -> bool:
        return any(self.crowd.is_crowded(name, self.rules.common_above) for name in names)

    def _is_news(self, known: Pair | None, pair: Pair) -> bool:
        if known is None:
            return not pair.common or (self.exact_digest is None and len(self.pairs) < self.rules.pairs)
        nearer = pair.distance < known.distance
        return nearer or pair.ts >= known.ts + self.rules.again_s or (pair.common and not known.common)

    def _became_common(self, touched: set[str] | None) -> list[Hinted]:
        """Hinted pairs that have now too many near one of the two; and common ones whose hint is a day old.

        touched: one of the two must be among these; None: any.
        """
        if self.crowd.holders <= self.rules.common_above:
            return []
        found, old = [], self.row.ts - self.rules.again_s
        for key in sorted(self.pairs):
            pair, names = self.pairs[key], _names(key)
            if touched is not None and not touched & set(names):
                continue
            if (not pair.common or pair.ts <= old) and (touched is None or self._is_common(*names)):
                found.append((key, pair._replace(ts=self.row.ts, common=True)))
        return found

    def _pair(self, bits: int, other: Row, *, common: bool) -> Pair:
        first, second = sorted((self.row, other), key=lambda row: row.identity)
        digest = self.exact_digest or exact_digest(canonical_json(sorted((first.value, second.value))).decode())
        seen, observations = (first.ts, second.ts), (first.observation_id, second.observation_id)
        return Pair(bits, digest, seen, observations, self.row.ts, common)


def _names(key: str) -> tuple[str, str]:
    a, b = orjson.loads(key)
    return a, b


def _hint(evidence: Evidence, key: str, pair: Pair, holders: int, *, near_values: bool, capped: bool) -> Output:
    a, b = _names(key)
    value: dict[str, Any] = {"a": a, "b": b, "kind": evidence.kind}
    if near_values:
        value["distance"] = pair.distance
    value |= {
        "value_digest": pair.value_digest,
        "seen_a": pair.seen[0],
        "seen_b": pair.seen[1],
        "observations": list(pair.observations),
        "holders": holders,
    }
    if pair.common:
        value["common"] = True
    if capped:
        value["capped"] = True
    return Output("link-hints", a, {**value, "ts": evidence.ts})
