"""What every route of a gateway has at hand."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.data.context import Passages
from endocrine.pipeline.gateway.awaiting import Awaiting
from endocrine.pipeline.gateway.callers import Doorkeeper
from endocrine.pipeline.gateway.idempotency import Idempotency
from endocrine.pipeline.gateway.lookback import Lookback
from endocrine.pipeline.gateway.metrics import GatewayMetrics
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.kafka.name_reader import NameFollower
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from endocrine.pipeline.gateway.events import Broadcast


@dataclass(eq=False)
class Gateway:
    """One gateway: its settings, the parts it waits and reads with, and the policy in force."""

    settings: Settings
    limits: GatewaySettings
    awaiting: Awaiting
    lookback: Lookback
    doorkeeper: Doorkeeper
    idempotency: Idempotency
    redis: "Redis | None"
    """Of the read models; None: reads answer 503."""
    events: "Broadcast"
    names: NameTable
    """The registry of names; every name that comes in is resolved here."""
    registry: NameFollower
    """What keeps `names` up to date, and sees what becomes of commands to the registry."""
    policy: Policy
    """As published, else of the settings; `PolicyFollower` puts another one here while the gateway runs."""
    version: str
    built: str | None = None
    passages: Passages = field(default_factory=lambda: Passages(None))
    """Where context packs have their passages from."""
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    follower: PolicyFollower | None = None
    """What follows the published policy, and knows which were in force before."""
