"""The attribution agent: observations in, the state of each (identity, primitive) and its transitions out (rules 5).

Per observation: read the value, add it to the bounded series, judge the series, and produce the state (always) and then
the transition (only where the state changed). A copy of an observation that is still in the series changes nothing and
produces nothing.

Late observations. State, current value, confidence, count and last_observation_ts are those of the sorted series,
whatever the order of arrival (equal ts: by arrival). `last_change_ts` is too, while no observation has left the memory
(10 for labels and numbers); after that, and for hashes, a transition that a late observation causes is dated by the
newest observation, since the states in between are not kept. Transitions are events of what was known: they follow
arrival, and their `ts` is that of the newest observation. Not seen as copies: observations that have left the memory,
and of a hash all but its latest one; these count again and change nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from endocrine.agents.attribution.memory import NEW, Merger
from endocrine.agents.attribution.mergers import Verdict, merge_categorical, merge_hash, merge_numeric
from endocrine.agents.attribution.rules import AttributionRules, Primitives
from endocrine.agents.attribution.series import add_to_distinct, add_to_window
from endocrine.agents.attribution.values import fingerprint, label, number, shown
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.vocabulary import AttributionState

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_new = tuple.__new__
_MERGERS: Mapping[str, Merger] = {"numeric": "n", "hash": "h"}


@dataclass(frozen=True)
class AttributionAgent:
    """See the module's docstring. State key: identity/primitive. State: `Memory`, as a list."""

    name: str = "attribution"
    sources: tuple[str, ...] = ("observations",)
    targets: tuple[str, ...] = ("attribution-states", "attribution-changes")

    def key(self, trigger: Trigger) -> str:
        """Return a key finer than the identity: each primitive has a state of its own."""
        return f"{trigger.identity}/{trigger.value['primitive']}"

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one observation. Reject (`wrong_value_kind`) when a numeric or hash primitive brings another value
        kind."""
        observation = trigger.value
        primitive = observation["primitive"]
        ts = observation["ts"]
        document = policy.document
        rules = document.attribution
        merger = kind_of(primitive, document.primitives)
        before, count, old, changed, first, stamps, values, marks, dropped = state or NEW
        if before != merger:
            # The policy now reads this primitive as another kind: what was kept is of no use to the other merger.
            stamps, values, marks, dropped = [], [], [], None
        newest = stamps[-1] if stamps else ts
        mark = crc32(trigger.id.encode())

        if merger == "h":
            value: Any = fingerprint(primitive, observation["value"], rules.longest_value)
            added = add_to_distinct(
                (stamps, values, marks), dropped, ts, value, mark, rules.hash.window_s, rules.hash.most
            )
            if added is None:
                return state, []
            (stamps, values, marks), dropped = added
        else:
            if merger == "n":
                value = number(primitive, observation["value"])
            else:
                value = label(primitive, observation["value"], rules.longest_value)
            window = add_to_window((stamps, values, marks), ts, value, mark, 2 * rules.window)
            if window is None:
                return state, []
            stamps, values, marks = window

        new, current, confidence = verdict(merger, values, rules)
        count += 1
        if count == 1:
            changed, first = ts, True
        elif ts < newest and merger != "h" and count == len(stamps):
            changed, first = onset(merger, stamps, values, rules)
        elif new != old:
            changed, first = stamps[-1], False
        elif first and ts < changed:
            changed = ts

        # The fields of `Memory` in its order; a list, as it is once it was stored.
        kept = [merger, count, new, changed, first, stamps, values, marks, dropped]
        return kept, records(trigger.identity, primitive, old, kept, current, confidence)


def kind_of(primitive: str, primitives: Primitives) -> Merger:
    """Return which merger judges a primitive. primitives: of the policy; one that is not listed is a label."""
    return _MERGERS.get(primitives.get(primitive, "categorical"), "c")


def records(
    identity: str, primitive: str, old: AttributionState, kept: list[Any], current: Any, confidence: float
) -> list[Output]:
    """Return the state's record, and the transition where it is one. old: the state before; kept: as `Memory`."""
    _, count, new, changed, _, stamps, _, _, dropped = kept
    current = shown(current)
    judged: dict[str, Any] = {
        "identity": identity,
        "primitive": primitive,
        "state": new,
        "current_value": current,
        "confidence": confidence,
        "observation_count": count,
        "last_change_ts": changed,
        "last_observation_ts": stamps[-1],
    }
    if dropped is not None:
        judged["capped"] = True
    # Output(...) takes twice the time, and every observation has one.
    outputs: list[Output] = [_new(Output, ("attribution-states", identity, judged))]
    if new != old:
        change = {
            "kind": "state_changed",
            "identity": identity,
            "primitive": primitive,
            "old_state": old,
            "new_state": new,
            "current_value": current,
            "confidence": confidence,
            "observation_count": count,
            "ts": stamps[-1],
        }
        outputs.append(Output("attribution-changes", identity, change))
    return outputs


def verdict(merger: Merger, values: list[Any], rules: AttributionRules) -> Verdict:
    """Return what the kept values come to. values: oldest first, at least one."""
    if merger == "h":
        return merge_hash(values, rules.hash)
    return merge_numeric(values, rules) if merger == "n" else merge_categorical(values, rules)


def onset(merger: Merger, stamps: list[float], values: list[Any], rules: AttributionRules) -> tuple[float, bool]:
    """Return `last_change_ts` of a series that is kept whole, judged anew from its first observation on; and whether
    it is that of the first one."""
    changed, first = stamps[0], True
    old = verdict(merger, values[:1], rules)[0]
    for size in range(2, len(values) + 1):
        new = verdict(merger, values[:size], rules)[0]
        if new != old:
            changed, first, old = stamps[size - 1], False, new
    return changed, first


AGENT = AttributionAgent()
