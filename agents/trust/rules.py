"""The `trusted_state` section of the policy (memory, section 3)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Category = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class TrustedStateRules(BaseModel):
    """What trusted state may hold; shipped values in `config/trusted_state.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    categories: Annotated[list[Category], Field(min_length=1, max_length=64, description="What an entry may be about.")]
    active: Annotated[int, Field(ge=1, le=10_000, description="Active entries of one subject; the door refuses more.")]
