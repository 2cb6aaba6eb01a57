"""What the observations of one primitive under two names are together (memory, section 2).

The transition that this is, if it is one, reaches `suspicion` like any other: what it knows under the old name ends,
and what it knows under the id follows from here.
"""

from collections.abc import Iterable
from typing import Any, cast

from endocrine.agents._shared.moving import Move, merged_rows
from endocrine.agents.attribution.agent import kind_of, onset, records, verdict
from endocrine.agents.attribution.memory import NEW, Memory
from endocrine.agents.attribution.rules import AttributionRules
from endocrine.agents.attribution.series import Lists, add_to_distinct
from endocrine.agents.contract import Erased, Output, State


def merge(old: State, state: State, move: Move) -> tuple[list[Any], list[Output]]:
    """Return the series of both by event time (equal times: old first), judged anew, their counts added.

    What the policy reads as another kind by now is only counted. Outputs: the state, and the transition where it is
    one.
    """
    moved, known = Memory(*cast(list[Any], old)), Memory(*(state or NEW))
    primitive = move.trigger.value.key[len(move.subject) + 1 :]
    document = move.policy.document
    rules, merger = document.attribution, kind_of(primitive, document.primitives)
    count, both = moved.observations + known.observations, [one for one in (moved, known) if one.merger == merger]
    (stamps, values, marks), dropped = _united(both, merger, rules)
    if not stamps:
        raise ValueError("no observation that the policy can read")
    new, current, confidence = verdict(merger, values, rules)
    alike = [one for one in both if one.state == new]
    if merger != "h" and count == len(stamps):
        changed, first = onset(merger, stamps, values, rules)
    elif len(alike) == len(both) and all(one.since_first for one in both):
        changed, first = min(one.last_change_ts for one in both), True
    else:
        changed, first = max((one.last_change_ts for one in alike), default=stamps[-1]), False
    after = [merger, count, new, changed, first, stamps, values, marks, dropped]
    return after, records(move.subject, primitive, known.state, after, current, confidence)


def _united(both: list[Memory], merger: str, rules: AttributionRules) -> tuple[Lists, float | None]:
    """The rows of the series, as many as are kept, and the latest of those that the bound of hashes pushed out."""
    rows: list[Any] = []
    for one in both:
        rows = merged_rows(rows, list(zip(one.stamps, one.values, one.marks, strict=True)), 0)
    if merger != "h":
        kept = rows[-2 * rules.window :]
        return ([row[0] for row in kept], [row[1] for row in kept], [row[2] for row in kept]), None
    lists: Lists = ([], [], [])
    dropped = max((one.dropped for one in both if one.dropped is not None), default=None)
    for ts, value, mark in rows:
        added = add_to_distinct(lists, dropped, ts, value, mark, rules.hash.window_s, rules.hash.most)
        if added is not None:
            lists, dropped = added
    return lists, dropped


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the state. part: the primitive."""
    return [Output("attribution-states", subject, Erased(primitive=part))]
