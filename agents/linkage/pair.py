"""The state of a pair of identities, and the score of its evidence at a time."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from endocrine.agents.canonical import canonical_json
from endocrine.schemas.linkage import Hint
from endocrine.schemas.vocabulary import LinkKind, LinkStatus

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules

DAY_S = 86_400.0


class Piece(NamedTuple):
    """One piece of evidence: two identities showed one value, or two near each other."""

    value_digest: str
    distance: int
    first_ts: float
    last_ts: float
    common_ts: float | None
    """When it was last reported that too many hold the value; None: never."""
    observations: tuple[str, str]

    def plain(self) -> list[Any]:
        """Return the piece as JSON values, for the state."""
        return [*self[:5], list(self.observations)]


class PairState(TypedDict):
    """The state of a pair, as JSON values."""

    evidence: dict[str, list[list[Any]]]
    """Kind -> `Piece`s, the best first."""
    clock: float
    """The latest event time of a hint or command, seconds: evidence is as old as this says."""
    listed: bool
    """Whether there was evidence that was not common: only then is it a link."""
    status: LinkStatus
    weakened: bool
    high: bool
    """Whether the score last reached what is proposed, so that it is proposed once."""
    dismissed: list[str] | None
    """Kinds that counted when it was dismissed."""
    capped: bool
    by: str


class Judged(NamedTuple):
    """The evidence of a pair at a time."""

    score: float
    kinds: set[LinkKind]
    """Kinds that count."""
    shown: list[dict[str, Any]]
    """As `schemas.linkage.LinkEvidence`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the evidence."""
        return hashlib.sha256(canonical_json(self.shown)).hexdigest()


def with_hint(state: PairState, hint: Hint, rules: "LinkageRules") -> PairState:
    """Return the state with a hint taken in. The order in which hints come plays no part, but for what is capped.

    Of keystrokes, whose values differ from day to day, one common piece makes all of them common; and a piece is
    forgotten once another is as near and was seen as late, for it would never count.
    """
    common_ts = hint.ts if hint.common else None
    new = Piece(
        hint.value_digest,
        hint.distance or 0,
        min(hint.seen_a, hint.seen_b),
        max(hint.seen_a, hint.seen_b),
        common_ts,
        (hint.observations[0], hint.observations[1]),
    )
    pieces = {piece.value_digest: piece for piece in pieces_of(state, hint.kind)}
    known = pieces.get(new.value_digest)
    pieces[new.value_digest] = new if known is None else _united(known, new)
    best, capped = _best(pieces.values(), hint.kind, rules)
    return {
        **state,
        "evidence": {**state["evidence"], hint.kind: best},
        "clock": max(state["clock"], hint.ts),
        "capped": state["capped"] or hint.capped or capped,
    }


def with_evidence(state: PairState, other: PairState, rules: "LinkageRules") -> PairState:
    """Return the state with the evidence of another pair, whose two identities are the same ones under other names."""
    evidence, capped = dict(state["evidence"]), state["capped"] or other["capped"]
    for kind in rules.kinds:
        pieces = {piece.value_digest: piece for piece in pieces_of(state, kind)}
        for piece in pieces_of(other, kind):
            known = pieces.get(piece.value_digest)
            pieces[piece.value_digest] = piece if known is None else _united(known, piece)
        if pieces:
            evidence[kind], more = _best(pieces.values(), kind, rules)
            capped = capped or more
    return {**state, "evidence": evidence, "clock": max(state["clock"], other["clock"]), "capped": capped}


def turned(state: PairState) -> PairState:
    """Return the state with the two identities in the other order."""
    pieces = state["evidence"].items()
    return {**state, "evidence": {kind: [[*one[:-1], one[-1][::-1]] for one in some] for kind, some in pieces}}


def _best(pieces: Iterable[Piece], kind: LinkKind, rules: "LinkageRules") -> tuple[list[list[Any]], bool]:
    """The pieces that are kept of a kind, the best first, as JSON values; and whether the bound left some out."""
    best = sorted(pieces, key=lambda one: (one.distance, -one.last_ts, one.value_digest))
    if rules.kinds[kind].match == "distance":
        best = _nearest_or_latest(best)
    return [one.plain() for one in best[: rules.evidence_of_kind]], len(best) > rules.evidence_of_kind


def _nearest_or_latest(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces that may count at some time, the best first; each common where one was. pieces: best first."""
    common_ts = max((piece.common_ts for piece in pieces if piece.common_ts is not None), default=None)
    kept: list[Piece] = []
    for piece in pieces:
        if not kept or piece.last_ts > kept[-1].last_ts:
            kept.append(piece._replace(common_ts=common_ts))
    return kept


def pieces_of(state: PairState, kind: LinkKind) -> list[Piece]:
    """Return the pieces of a kind, the best first."""
    return [
        Piece(digest, distance, first_ts, last_ts, common_ts, (seen[0], seen[1]))
        for digest, distance, first_ts, last_ts, common_ts, seen in state["evidence"].get(kind, [])
    ]


def _united(one: Piece, other: Piece) -> Piece:
    later, earlier = (
        (one, other) if (one.last_ts, one.observations) >= (other.last_ts, other.observations) else (other, one)
    )
    commons = [ts for ts in (one.common_ts, other.common_ts) if ts is not None]
    return later._replace(
        distance=min(one.distance, other.distance),
        first_ts=min(one.first_ts, earlier.first_ts, other.first_ts),
        common_ts=max(commons) if commons else None,
    )


def judged(state: PairState, rules: "LinkageRules") -> Judged:
    """Return what the evidence comes to at the pair's clock: what was last seen longer ago, or was common since, does
    not count. Of keystrokes one piece is shown, the one that counts or else the nearest: which others were hinted
    before it depends on who came first."""
    since = state["clock"] - rules.evidence_days * DAY_S
    kinds: set[LinkKind] = set()
    shown: list[dict[str, Any]] = []
    for kind, rule in rules.kinds.items():
        pieces = pieces_of(state, kind)
        common = {piece for piece in pieces if piece.common_ts is not None and piece.common_ts >= since}
        best = next((piece for piece in pieces if piece not in common and piece.last_ts >= since), None)
        if best is not None:
            kinds.add(kind)
        if rule.match == "distance":
            pieces = pieces[:1] if best is None else [best]
        for piece in pieces:
            value: dict[str, Any] = {"kind": kind, "class": rule.strength, "weight": rules.weight(kind)}
            if rule.match == "distance":
                value["distance"] = piece.distance
            value |= {
                "value_digest": piece.value_digest,
                "observations": list(piece.observations),
                "common": piece in common,
                "counted": piece is best,
                "first_ts": piece.first_ts,
                "last_ts": piece.last_ts,
            }
            shown.append(value)
    return Judged(rules.score(kinds), kinds, shown)
