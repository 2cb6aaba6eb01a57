"""Memory by consensus (rules 8): the strength of a memory, from what people and programs hold of it. Pure.

The last opinion of each voter counts, by its time, so that the order of arrival does not. An opinion changes neither
status nor confidence: a memory that all are for is promoted by a command all the same.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from endocrine.agents.memory.rules import ConsensusRules
from endocrine.schemas.memory import MemoryOpinion

DECIMALS = 6
"""Of a strength."""


class Opinions(TypedDict):
    """What is held of one memory."""

    voters: dict[str, list[str | float]]
    """Opinion (for, against), confidence and event time, by voter, in the order of their names."""
    beyond: bool
    """Whether an opinion fell out, because there were more voters than are kept."""


class Tally(NamedTuple):
    """What the opinions amount to."""

    strength: float
    votes_for: int
    votes_total: int


EMPTY: Opinions = {"voters": {}, "beyond": False}


def with_opinion(opinions: Opinions, value: MemoryOpinion, rules: ConsensusRules) -> Opinions:
    """Return the opinions with one more; the same object where the voter gave a later one already."""
    known = opinions["voters"].get(value.by)
    if known is not None and float(known[2]) > value.ts:
        return opinions
    return united(opinions, {"voters": {value.by: [value.opinion, value.confidence, value.ts]}, "beyond": False}, rules)


def united(old: Opinions, new: Opinions, rules: ConsensusRules) -> Opinions:
    """Return the opinions of two memories that became one: of each voter the later, of the same time the new one's.

    Of more voters than are kept those with the oldest opinions are out.
    """
    voters = dict(old["voters"])
    for name, vote in new["voters"].items():
        if name not in voters or float(voters[name][2]) <= float(vote[2]):
            voters[name] = list(vote)
    latest = sorted(voters, key=lambda name: (float(voters[name][2]), name))[-rules.voters :]
    beyond = old["beyond"] or new["beyond"] or len(latest) < len(voters)
    return {"voters": {name: voters[name] for name in sorted(latest)}, "beyond": beyond}


def tally(voters: Mapping[str, list[str | float]], rules: ConsensusRules) -> Tally:
    """Return the strength that the opinions give, and how many there are.

    strength = clamp(base + span * (confidence share * confidence + votes share * votes for / max(1, votes)), least,
    most). confidence: the mean of how sure the voters are that the memory holds; who is against it with 0.9 is sure of
    it with 0.1.
    """
    total = len(voters)
    sure = [float(vote[1]) if vote[0] == "for" else 1.0 - float(vote[1]) for vote in voters.values()]
    votes_for = sum(vote[0] == "for" for vote in voters.values())
    confidence = math.fsum(sure) / max(1, total)
    share = rules.confidence_share * confidence + rules.votes_share * votes_for / max(1, total)
    strength = min(rules.most, max(rules.least, rules.base + rules.span * share))
    return Tally(round(strength, DECIMALS), votes_for, total)
