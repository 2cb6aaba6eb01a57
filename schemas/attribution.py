"""Topics `attribution-states` and `attribution-changes`. Probabilistic; they never gate anything."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.schemas.base import Count, Identity, Record, Share
from endocrine.schemas.vocabulary import AttributionState


class State(Record):
    """The state of one primitive of one identity after its last observation."""

    identity: Identity
    primitive: Annotated[str, Field(description="What was measured.")]
    state: Annotated[AttributionState, Field(description="State after the last observation.")]
    current_value: Annotated[Any, Field(description="Value that represents the series: label, number, hash or object.")]
    confidence: Annotated[Share, Field(description="Confidence in the state, 0 to 1; never certainty.")]
    observation_count: Annotated[Count, Field(description="Observations so far.")]
    last_change_ts: Annotated[float, Field(description="When the state last changed; seconds since 1970-01-01 UTC.")]
    last_observation_ts: Annotated[
        float, Field(description="Event time of the latest observation; seconds since 1970-01-01 UTC.")
    ]
    capped: Annotated[
        bool,
        Field(description="True: more distinct hashes than are kept, so confidence is an upper bound; else absent."),
    ] = False


class StateChanged(Record):
    """One transition, once; the state before the first observation is `unknown`."""

    kind: Literal["state_changed"]
    identity: Identity
    primitive: Annotated[str, Field(description="What was measured.")]
    old_state: Annotated[AttributionState, Field(description="State before.")]
    new_state: Annotated[AttributionState, Field(description="State after.")]
    current_value: Annotated[Any, Field(description="Value that represents the series.")]
    confidence: Annotated[Share, Field(description="Confidence in the new state, 0 to 1.")]
    observation_count: Annotated[Count, Field(description="Observations so far.")]
    ts: Annotated[
        float, Field(description="Event time of the observation that changed it; seconds since 1970-01-01 UTC.")
    ]


class MultiActorSuspected(Record):
    """At least two primitives of one identity are in multi_actor."""

    kind: Literal["multi_actor_suspected"]
    identity: Identity
    primitives: Annotated[list[str], Field(min_length=2, description="Sorted.")]
    confidence: Annotated[Share, Field(description="Confidence in the suspicion, 0 to 1.")]
    ts: Annotated[
        float, Field(description="Event time of the observation that raised it; seconds since 1970-01-01 UTC.")
    ]


Change = Annotated[StateChanged | MultiActorSuspected, Field(discriminator="kind")]
