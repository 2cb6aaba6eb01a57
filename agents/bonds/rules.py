"""The `bonds` section of the policy: constants of the bond ledger (rules, section 6)."""

from typing import Annotated

from pydantic import BaseModel, Field

from endocrine.schemas.base import STRICT


class BondRules(BaseModel):
    """Constants of the ledger; shipped values in `config/bonds.yaml`."""

    model_config = STRICT

    day_s: Annotated[float, Field(gt=0, description="Seconds; the message counter resets when more than this passed.")]
    spike: Annotated[float, Field(gt=0, description="A node that exceeds its peak by this or more is a ulm_spike.")]
    notes_kept: Annotated[int, Field(ge=1, le=20, description="Notes an entry keeps, the newest.")]
    nodes_kept: Annotated[int, Field(ge=1, description="Most nodes an entry may hold peaks of; bounds memory.")]
    held_remembered: Annotated[int, Field(ge=1, description="Turns that wait for a person, kept until counted.")]
    commands_remembered: Annotated[int, Field(ge=1, description="Command ids kept, so that a copy acts once.")]
