"""Topic `signals`: endocrine signals."""

from typing import Annotated

from pydantic import Field

from endocrine.schemas.base import Count, Id, Identity, Produced, Ts
from endocrine.schemas.vocabulary import Signal


class EndocrineSignal(Produced):
    """One measurement of one signal. It counts for a turn while `turn.ts <= ts + ttl_ms / 1000`."""

    identity: Identity
    name: Annotated[Signal, Field(description="Which signal.")]
    level: Annotated[float, Field(description="Level, 0 to 1; a finite level outside is clamped, fate `clamped`.")]
    ttl_ms: Annotated[Count, Field(description="Milliseconds of event time; 0: only for the turn that audit_id names.")]
    source: Annotated[Id, Field(description="Who measured it; budgets and caps are per source.")]
    audit_id: Annotated[Id | None, Field(description="The turn it is about; an open turn is re-modulated.")] = None
    ts: Ts
