"""The section `context` of the policy: what a context pack may hold (memory, section 7)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LEAST_BUDGET, MOST_BUDGET = 256, 100_000
MOST_MEMORIES = 512
"""Lines of memories in a pack; more are left out, whatever the budget."""
MOST_PASSAGES = 20
"""What a search gives at most."""


class ContextRules(BaseModel):
    """Shipped values in `config/context.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    budget: Annotated[
        int, Field(ge=LEAST_BUDGET, le=MOST_BUDGET, description="Characters of a pack where nothing else is asked for.")
    ]
    state_share: Annotated[float, Field(ge=0, le=1, description="Share of the budget for trusted state.")]
    memory_share: Annotated[float, Field(ge=0, le=1, description="Share of the budget for memories.")]
    project_boost: Annotated[
        float, Field(ge=1, le=100, description="Factor on the score of a passage whose path names the project.")
    ]
    passages: Annotated[
        int, Field(ge=0, le=MOST_PASSAGES, description="Passages looked for, where the turn's modulation says nothing.")
    ]
