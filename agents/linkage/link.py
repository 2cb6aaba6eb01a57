"""A link while one record is worked on, and what its score makes of its status."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents.contract import Output
from endocrine.agents.linkage.pair import Judged, PairState
from endocrine.schemas.vocabulary import LinkEventKind, LinkRefusal

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules

BY = "linkage"
"""Who acts where no operator does."""


@dataclass
class Link:
    """A link while one record is worked on."""

    a: str
    b: str
    state: PairState
    judged: Judged
    by: str
    ts: float
    reason: str | None = None
    outputs: list[Output] | None = None

    def event(self, kind: LinkEventKind, old: str | None, refusal: LinkRefusal | None = None) -> Output:
        """Return what happened; the status before, and the one now."""
        new = None if refusal == "unknown_link" or refusal == "not_sorted" else self.state["status"]
        value = {
            "kind": kind,
            "a": self.a,
            "b": self.b,
            "old": old,
            "new": new,
            "score": self.judged.score,
            "evidence_digest": self.judged.digest if self.judged.shown else None,
            "refusal": refusal,
            "reason": self.reason,
            "by": self.by,
            "ts": self.ts,
        }
        return Output("link-events", self.a, value)

    def record(self) -> Output:
        """Return the link as it is."""
        value: dict[str, Any] = {
            "a": self.a,
            "b": self.b,
            "score": self.judged.score,
            "evidence": self.judged.shown,
            "status": self.state["status"],
            "weakened": self.state["weakened"],
        }
        if self.state["capped"]:
            value["capped"] = True
        return Output("identity-links", self.a, {**value, "by": self.state["by"], "ts": self.ts})


def empty_pair(ts: float) -> PairState:
    """Return the state of a pair without evidence. ts: event time, seconds."""
    return {
        "evidence": {},
        "clock": ts,
        "listed": False,
        "status": "observed",
        "weakened": False,
        "high": False,
        "dismissed": None,
        "capped": False,
        "by": BY,
    }


def settled(link: Link, rules: "LinkageRules") -> list[Output]:
    """Return the events of what the score makes of the status; the link's state is the one after it."""
    state, high = link.state, link.judged.score >= rules.propose_from
    old, rose = state["status"], high and not state["high"]
    state = link.state = {**state, "high": high}
    if old == "applied":
        if high != state["weakened"]:
            return []
        link.state = {**state, "weakened": not high}
        return [link.event("restored" if high else "weakened", old)]
    if old == "dismissed":
        if link.judged.kinds <= set(state["dismissed"] or ()):
            return []
        link.state = {**state, "status": "proposed" if high else "observed", "dismissed": None, "by": BY}
        return [link.event("proposed" if high else "observed", old)]
    if rose and old == "observed":
        link.state = {**state, "status": "proposed", "by": BY}
        return [link.event("proposed", old)]
    if not high and old == "proposed":
        link.state = {**state, "status": "observed", "by": BY}
        return [link.event("observed", old)]
    return []
