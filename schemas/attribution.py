"""Topics `attribution-states` and `attribution-changes`. Probabilistic; they never gate anything."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import Count, Identity, Record, Share
from schemas.vocabulary import AttributionState


class State(Record):
    """The state of one primitive of one identity after its last observation."""

    identity: Identity
    primitive: str
    state: AttributionState
    current_value: Any
    confidence: Share
    observation_count: Count
    last_change_ts: float
    last_observation_ts: float
    capped: Annotated[
        bool,
        Field(description="True: more distinct hashes than are kept, so confidence is an upper bound; else absent."),
    ] = False


class StateChanged(Record):
    """One transition, once; the state before the first observation is `unknown`."""

    kind: Literal["state_changed"]
    identity: Identity
    primitive: str
    old_state: AttributionState
    new_state: AttributionState
    current_value: Any
    confidence: Share
    observation_count: Count
    ts: float


class MultiActorSuspected(Record):
    """At least two primitives of one identity are in multi_actor."""

    kind: Literal["multi_actor_suspected"]
    identity: Identity
    primitives: Annotated[list[str], Field(min_length=2, description="Sorted.")]
    confidence: Share
    ts: float


Change = Annotated[StateChanged | MultiActorSuspected, Field(discriminator="kind")]
