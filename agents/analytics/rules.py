"""The `analytics` section of the policy."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from endocrine.schemas.base import STRICT


class AnalyticsRules(BaseModel):
    """Constants of the analytics agent; shipped values in `config/analytics.yaml`."""

    model_config = STRICT

    window_s: Annotated[float, Field(gt=0, le=31_536_000, description="Seconds of event time the figures are over.")]
    kept: Annotated[
        int, Field(ge=1, le=10_000, description="Events per tool held one by one; percentiles are of them.")
    ]
    bucket_s: Annotated[float, Field(gt=0, description="Seconds; older events count in steps of this length.")]

    clocks: Annotated[
        int, Field(ge=1, le=10_000, description="Identities with a clock of their own, where no append time is known.")
    ]

    @model_validator(mode="after")
    def _few_buckets(self) -> Self:
        if self.window_s / self.bucket_s > 1000:
            raise ValueError(
                f"window_s {self.window_s:g} has more than 1000 steps of bucket_s {self.bucket_s:g}: "
                "memory is bounded, make the steps longer"
            )
        return self
