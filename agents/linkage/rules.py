"""The `linkage` section of the policy (memory, section 9)."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from endocrine.schemas.vocabulary import LinkClass, LinkKind

Weight = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class KindRules(_Section):
    """One kind of evidence."""

    primitive: Annotated[
        str, StringConstraints(min_length=1, max_length=256), Field(description="The primitive that carries it.")
    ]
    match: Annotated[
        Literal["distance", "equal"],
        Field(
            description="equal: the same text; distance: 64-bit values as 16 hexadecimal digits, close to each other."
        ),
    ]
    strength: Annotated[LinkClass, Field(description="How much it says; see `weights`.")]


class Weights(_Section):
    """What each strength adds, 0 to below 1."""

    strong: Weight
    medium: Weight
    weak: Weight


class LinkageRules(_Section):
    """When two identities may be one actor's; shipped values in `config/linkage.yaml`."""

    kinds: Annotated[dict[LinkKind, KindRules], Field(min_length=1, description="Kinds of evidence; others are none.")]
    weights: Weights
    propose_from: Annotated[
        float, Field(gt=0, le=1, description="The least score that is proposed, and may be applied.")
    ]
    distance_below: Annotated[
        int, Field(ge=1, le=8, description="Differing bits of 64 must be fewer; the tokens make up to 7 meet.")
    ]
    again_s: Annotated[float, Field(gt=0, le=2_592_000, description="Seconds after which a known value is news again.")]
    values: Annotated[int, Field(ge=1, le=256, description="Values of one kind kept of one identity.")]
    holders: Annotated[int, Field(ge=2, le=1024, description="Rows (identity, value) kept of one token.")]
    holder_values: Annotated[int, Field(ge=1, le=64, description="Of these, rows of one identity.")]
    holder_days: Annotated[int, Field(ge=1, le=366, description="Days of event time that a row is kept.")]
    pairs: Annotated[int, Field(ge=1, le=4096, description="Hinted pairs kept of one token.")]
    common_above: Annotated[int, Field(ge=2, le=1000, description="A value held by more identities is common.")]
    evidence_days: Annotated[int, Field(ge=1, le=3660, description="Days that evidence counts after it was last seen.")]
    evidence_of_kind: Annotated[int, Field(ge=1, le=12, description="Pieces of one kind kept of one pair.")]

    @model_validator(mode="after")
    def _agree(self) -> "LinkageRules":
        primitives = [kind.primitive for kind in self.kinds.values()]
        twice = sorted({name for name in primitives if primitives.count(name) > 1})
        if twice:
            raise ValueError(f"the primitive {twice[0]!r} is of two kinds; expected each of one")
        without_strong = self.score({name for name, kind in self.kinds.items() if kind.strength != "strong"})
        if without_strong >= self.propose_from:
            raise ValueError(
                f"kinds without a strong one reach a score of {without_strong}; expected below propose_from,"
                f" {self.propose_from}"
            )
        if self.common_above * (self.common_above - 1) // 2 > self.pairs:
            raise ValueError(
                f"pairs {self.pairs}: expected room for all pairs of {self.common_above} holders,"
                f" {self.common_above * (self.common_above - 1) // 2}"
            )
        if self.common_above >= self.holders:
            raise ValueError(f"common_above {self.common_above}: expected below holders, {self.holders}")
        return self

    @cached_property
    def by_primitive(self) -> dict[str, LinkKind]:
        """The kind that each listed primitive carries."""
        return {kind.primitive: name for name, kind in self.kinds.items()}

    def weight(self, kind: LinkKind) -> float:
        """Return the weight of a kind, by its strength."""
        weights: dict[LinkClass, float] = {
            "strong": self.weights.strong,
            "medium": self.weights.medium,
            "weak": self.weights.weak,
        }
        return weights[self.kinds[kind].strength]

    def score(self, matching: set[LinkKind]) -> float:
        """Return the score of the kinds that match, each once, 0 to 1, rounded to 4 decimals."""
        rest = 1.0
        for kind in self.kinds:
            if kind in matching:
                rest *= 1 - self.weight(kind)
        return round(1 - rest, 4)
