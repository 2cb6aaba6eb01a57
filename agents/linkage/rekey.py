"""What the links of two names of one identity are together (memory, section 2).

A link lies under the first of its two identities, so it may lie elsewhere once one of them has another name.
"""

from collections.abc import Iterable
from typing import cast

import orjson

from endocrine.agents._shared.moving import Conflict, Move
from endocrine.agents.contract import Erased, Output, State
from endocrine.agents.linkage.link import Link, settled
from endocrine.agents.linkage.pair import PairState, judged, with_evidence

DECIDED = ("applied", "dismissed")
"""Statuses that a person gave."""


def merge(old: State, state: State, move: Move) -> tuple[PairState, list[Output]]:
    """Return the pair with the evidence of both, judged anew; outputs: what that makes of its status, and the link.

    old: with its identities in the order that they have now. Raises Conflict (link_status).
    """
    moved, known, rules = cast(PairState, old), cast(PairState | None, state), move.policy.document.linkage
    after = moved if known is None else with_evidence(with_status(moved, known), moved, rules)
    a, b = orjson.loads(move.trigger.value.key[len(move.subject) + 1 :])
    after = {**after, "clock": max(after["clock"], move.trigger.value.ts)}
    link = Link(a, b, after, judged(after, rules), move.trigger.value.by, after["clock"])
    events = settled(link, rules)
    return link.state, [*events, link.record()]


def with_status(old: PairState, new: PairState) -> PairState:
    """Return the state `new` with the status of both: a person's word goes before what the score made of it.

    Raises Conflict (link_status): one is applied, the other dismissed.
    """
    words = [one["status"] in DECIDED for one in (old, new)]
    if all(words) and old["status"] != new["status"]:
        raise Conflict("link_status")
    first = old if words[0] and not words[1] else new
    status = first["status"]
    if not any(words) and "proposed" in (old["status"], new["status"]):
        status = "proposed"
    dismissed = sorted({*(old["dismissed"] or ()), *(new["dismissed"] or ())}) if status == "dismissed" else None
    return {
        **new,
        "listed": old["listed"] or new["listed"],
        "status": status,
        "weakened": first["weakened"],
        "high": old["high"] or new["high"],
        "dismissed": dismissed,
        "by": first["by"],
    }


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the link. part: the pair, as JSON."""
    a, b = orjson.loads(part)
    return [Output("identity-links", a, Erased(a=a, b=b))]
