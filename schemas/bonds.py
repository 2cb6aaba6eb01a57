"""Topics `detections`, `bonds` and `bond-events`: the bond ledger."""

from typing import Annotated, Any

from pydantic import Field

from endocrine.schemas.base import Bag, Count, Id, Identity, Produced, Record, Share, Ts
from endocrine.schemas.vocabulary import BondEventType, ImportOutcome


class Detection(Produced):
    """An entrainment detection with its ULM vector. Of what it leaves out, the entry keeps its value."""

    identity: Identity
    phase: Annotated[str, Field(description="Phase of the bond, in the detector's words.")]
    risk_level: Annotated[
        str, Field(description="Risk of the bond, in the detector's words; it reaches no safety parameter.")
    ]
    childhood_archetype: Annotated[str | None, Field(description="Archetype, in the detector's words.")] = None
    egg_status: Annotated[str | None, Field(description="In the detector's words.")] = None
    confidence: Annotated[Share | None, Field(description="The detector's confidence, 0 to 1.")] = None
    signals: Annotated[list[Any] | None, Field(description="What the detector saw, in its own form.")] = None
    turn_count: Annotated[Count, Field(description="Turns that the detector has seen of the user.")]
    ulm: Annotated[dict[str, Share], Field(description="Node to activation, 0 to 1.")]
    ts: Ts


class Bond(Record):
    """The ledger's entry for one user; the identity is in `user_id`."""

    user_id: Identity
    phase: Annotated[str, Field(description="Phase as last detected.")] = "dormant"
    prev_phase: Annotated[str, Field(description="Phase before it.")] = "dormant"
    archetype: Annotated[str, Field(description="Archetype as last detected.")] = "unknown"
    phase_entered_at: Annotated[float, Field(description="When the phase began; seconds since 1970-01-01 UTC.")] = 0.0
    turn_count: Annotated[Count, Field(description="Turns as last detected.")] = 0
    peak_nodes: Annotated[dict[str, float], Field(description="ULM node to the highest activation seen, 0 to 1.")] = (
        Field(default_factory=dict)
    )
    risk_level: Annotated[str, Field(description="Risk as last detected.")] = "low"
    daily_msg_cap: Annotated[Count, Field(description="Messages per day; 0 means unlimited.")] = 0
    daily_msg_count: Annotated[Count, Field(description="Messages accepted since the last reset.")] = 0
    daily_msg_reset_at: Annotated[
        float, Field(description="When the count was last reset; seconds since 1970-01-01 UTC.")
    ] = 0.0
    egg_status: Annotated[str, Field(description="As last detected.")] = "none"
    notes: list[str] = Field(default_factory=list, max_length=20, description="The last 20.")
    last_updated: Annotated[float, Field(description="When the entry last changed; seconds since 1970-01-01 UTC.")] = (
        0.0
    )


class TakenEvent(Record):
    """An event as dashboards know it: without the identity, which is in its key."""

    timestamp: Ts
    event_type: Annotated[BondEventType, Field(description="What happened.")]
    detail: Annotated[str, Field(description="One line for a person.")]
    data: Annotated[Bag, Field(description="Of a change: `{old, new}`; of a spike: the node and its activations.")]


class Imported(Record):
    """What an import of a bond led to."""

    command: Annotated[Id, Field(description="Id of the `adopt_bond` command that it ended with.")]
    outcome: Annotated[
        ImportOutcome,
        Field(description="`taken`; or why nothing was: an entry exists, it cannot be read, parts came out of order."),
    ]
    cap: Annotated[Count | None, Field(description="Of what was taken: messages per day; 0 means unlimited.")] = None
    count: Annotated[Count | None, Field(description="Messages accepted since the last reset.")] = None
    reset_at: Annotated[float | None, Field(description="When the count was last reset; seconds since 1970 UTC.")] = (
        None
    )


class BondEvent(Record):
    """One event in a bond's life."""

    identity: Identity
    timestamp: Ts
    event_type: Annotated[BondEventType, Field(description="What happened.")]
    detail: Annotated[str, Field(description="One line for a person.")]
    data: Annotated[Bag, Field(description="Of a change: `{old, new}`; of a spike: the node and its activations.")]
    imported: Annotated[Imported | None, Field(description="Of the end of an import; left out of all others.")] = None
