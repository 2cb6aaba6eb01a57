"""Topics `detections`, `bonds` and `bond-events`: the bond ledger."""

from typing import Annotated, Any

from pydantic import Field

from schemas.base import Bag, Count, Identity, Produced, Record, Share, Ts
from schemas.vocabulary import BondEventType


class Detection(Produced):
    """An entrainment detection with its ULM vector."""

    identity: Identity
    phase: str
    risk_level: str
    childhood_archetype: str
    egg_status: str
    confidence: Share
    signals: list[Any]
    turn_count: Count
    ulm: Annotated[dict[str, float], Field(description="Node to activation.")]
    ts: Ts


class Bond(Record):
    """The ledger's entry for one user; the identity is in `user_id`."""

    user_id: Identity
    phase: str = "dormant"
    prev_phase: str = "dormant"
    archetype: str = "unknown"
    phase_entered_at: float = 0.0
    turn_count: Count = 0
    peak_nodes: dict[str, float] = Field(default_factory=dict)
    risk_level: str = "low"
    daily_msg_cap: Annotated[Count, Field(description="Messages per day; 0 means unlimited.")] = 0
    daily_msg_count: Count = 0
    daily_msg_reset_at: float = 0.0
    egg_status: str = "none"
    notes: list[str] = Field(default_factory=list, max_length=20, description="The last 20.")
    last_updated: float = 0.0


class BondEvent(Record):
    """One event in a bond's life."""

    identity: Identity
    timestamp: Ts
    event_type: BondEventType
    detail: str
    data: Bag
