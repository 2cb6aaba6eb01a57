"""The `feedback` section of the policy: constants of the style table and of the drift alarm (rules, section 3)."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from endocrine.schemas.base import STRICT


class Nudge(BaseModel):
    """One nudge: `clamp(gain * d, low, high)`, d being the weighted mean of the ratings around neutral."""

    model_config = STRICT

    gain: Annotated[float, Field(ge=0, description="Nudge per star.")]
    low: Annotated[float, Field(ge=-1, le=0)]
    high: Annotated[float, Field(ge=0, le=1)]


class Drift(BaseModel):
    """When an identity is locked to strict."""

    model_config = STRICT

    more_than: Annotated[int, Field(ge=0, description="More diverging cards than this within the window lock.")]
    window_s: Annotated[float, Field(gt=0, description="Seconds of event time; both ends belong to the window.")]
    high_rating: Annotated[int, Field(ge=1, le=5, description="This or more, on a turn with an incident, diverges.")]
    low_rating: Annotated[int, Field(ge=1, le=5, description="This or less, on a strict turn, diverges.")]
    cards_kept: Annotated[int, Field(ge=1, description="Diverging cards kept, the latest; bounds memory.")]

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if self.cards_kept <= self.more_than:
            raise ValueError(
                f"cards_kept {self.cards_kept} must exceed more_than {self.more_than}, else the alarm never fires"
            )
        return self


class FeedbackRules(BaseModel):
    """Constants of feedback; shipped values in `config/feedback.yaml`."""

    model_config = STRICT

    cards_kept: Annotated[int, Field(ge=1, le=200, description="Cards that count, the latest.")]
    decay: Annotated[float, Field(gt=0, le=1, description="Weight of a card: decay ** (number of newer ones).")]
    neutral_rating: Annotated[int, Field(ge=1, le=5, description="A rating that nudges nothing.")]
    temperature: Nudge
    top_p: Nudge
    memory_write: Annotated[Nudge, Field(description="Of the positive part of d only.")]
    verbosity: Nudge
    drift: Drift
    turns_kept: Annotated[int, Field(ge=1, description="Recent turns whose mode and incidents are kept.")]
    commands_remembered: Annotated[int, Field(ge=1, description="Command ids kept, so that a copy acts once.")]

    @model_validator(mode="after")
    def _within_the_schema(self) -> Self:
        widest = {"temperature": (-0.2, 0.2), "top_p": (-0.2, 0.2), "memory_write": (0, 0.2), "verbosity": (-0.3, 0.3)}
        for name, (low, high) in widest.items():
            nudge: Nudge = getattr(self, name)
            if nudge.low < low or nudge.high > high:
                raise ValueError(f"{name}: bounds {nudge.low}..{nudge.high} must lie within {low}..{high}")
        return self
