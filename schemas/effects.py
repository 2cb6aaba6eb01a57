"""Topic `effect-starts`: effects that must not run twice, marked before they run."""

from typing import Annotated

from pydantic import Field

from endocrine.schemas.base import Id, Identity, Record, Ts


class EffectStart(Record):
    """A connector is about to run this effect. The first mark of an effect in its partition is the one that counts."""

    effect_id: Annotated[Id, Field(description="Id of the request: a call_id.")]
    connector: Annotated[Id, Field(description="Name of the connector, such as `tools`.")]
    identity: Identity
    by: Annotated[Id, Field(description="The process that is about to run it.")]
    ts: Ts
