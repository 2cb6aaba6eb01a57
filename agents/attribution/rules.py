"""The sections `attribution` and `primitives` of the policy: thresholds of the mergers, and kinds of primitives."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from endocrine.schemas.base import STRICT

ValueKind = Literal["categorical", "numeric", "hash", "array", "free_string", "bool"]
"""How a primitive's value is to be read. Only numeric and hash have arithmetic of their own; the rest are labels."""

Primitives = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=256)], ValueKind],
    Field(description="Kind of each known primitive; one that is missing here counts as categorical."),
]
"""The section `primitives`."""


class _Section(BaseModel):
    model_config = STRICT


class CategoricalRules(_Section):
    """When labels agree, and when they alternate as two hands would."""

    majority: Annotated[int, Field(ge=1, description="Equal labels of one window that make a majority.")]
    alternating_least: Annotated[int, Field(ge=2, description="Fewest labels in `recent` that may be multi_actor.")]
    flips_per_repeat: Annotated[
        float, Field(gt=0, description="multi_actor from this many changes per repetition of neighbours.")
    ]
    multi_actor_confidence: Annotated[
        float, Field(ge=0, le=1, description="Upper bound of a multi_actor's confidence.")
    ]


class NumericRules(_Section):
    """Exponentially weighted mean, spread around it, and its shift."""

    alpha: Annotated[float, Field(gt=0, le=1, description="Weight of the newest value in the mean.")]
    conflicted_above: Annotated[float, Field(gt=0, description="Coefficient of variation, exclusive.")]
    conflicted_confidence: Annotated[float, Field(ge=0, le=1)]
    drifting_from: Annotated[float, Field(gt=0, description="Relative shift of the mean, inclusive.")]


class HashRules(_Section):
    """How often a fingerprint may rotate."""

    window_s: Annotated[float, Field(gt=0, description="Seconds before the last observation, inclusive.")]
    drifting_rotations: Annotated[int, Field(ge=1, description="At most this many rotations are drifting.")]
    most: Annotated[int, Field(ge=2, le=10_000, description="Distinct hashes kept; beyond it a state says `capped`.")]


class SuspicionRules(_Section):
    """When several primitives together suggest more than one actor."""

    least_primitives: Annotated[int, Field(ge=2)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    most: Annotated[int, Field(ge=2, le=10_000, description="Primitives kept per identity.")]


class AttributionRules(_Section):
    """The section `attribution`: every threshold of rules 5."""

    window: Annotated[int, Field(ge=1, le=1_000, description="Observations in `recent`, and in `older` before it.")]
    least: Annotated[
        int, Field(ge=1, description="Fewest observations for a state other than unknown; not for hashes.")
    ]
    longest_value: Annotated[
        int,
        Field(ge=80, le=65_536, description="Characters; a longer value is kept as its SHA-256, so memory is bounded."),
    ]
    categorical: CategoricalRules
    numeric: NumericRules
    hash: HashRules
    suspicion: SuspicionRules

    @model_validator(mode="after")
    def _reachable(self) -> "AttributionRules":
        if self.least > 2 * self.window:
            raise ValueError(f"least is {self.least}, but only 2 * window = {2 * self.window} observations are kept")
        if not self.window // 2 < self.categorical.majority <= self.window:
            raise ValueError(
                f"categorical.majority is {self.categorical.majority}; expected more than half of the window"
                f" and at most all of it ({self.window // 2 + 1}..{self.window})"
            )
        if self.hash.drifting_rotations >= self.hash.most - 1:
            raise ValueError(
                f"hash.most is {self.hash.most}: too few to tell drifting (up to {self.hash.drifting_rotations}"
                f" rotations) from conflicted; expected at least {self.hash.drifting_rotations + 2}"
            )
        if self.suspicion.most < self.suspicion.least_primitives:
            raise ValueError(
                f"suspicion.most is {self.suspicion.most}; expected at least"
                f" least_primitives ({self.suspicion.least_primitives})"
            )
        return self
