"""What pages of operations share: figures that are read in the background, and replays that pages started."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.console.browsing.newest import newest
from endocrine.pipeline.console.proxy import TrustedProxy
from endocrine.pipeline.console.readings import Known, Reading
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.console.tasks import Tasks
from endocrine.pipeline.console.vault import Vault, look_at_vault
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.data.backup.health import FOLDER, BackupHealth, backup_health
from endocrine.pipeline.data.dead_letters.letters import TOPICS as LETTERS
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.process.settings import environment
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.views import RecentTurn
from endocrine.pipeline.views.status.appended import appended_since
from endocrine.pipeline.views.status.breakers import OpenBreaker, read_breakers
from endocrine.pipeline.views.status.connector_breakers import ConnectorBreaker, Reply, connector_breakers
from endocrine.pipeline.views.status.lag import read_lag
from endocrine.pipeline.views.status.members import read_members
from endocrine.pipeline.views.status.presence import PARTS, WORKER_ROLES
from endocrine.pipeline.views.status.report import Member

SPANS = {"1h": (3600, 60), "24h": (86_400, 900), "7d": (604_800, 7200)}
"""Seconds that the overview shows, and seconds of one step."""
MOST_TURNS = 10_000
"""As many as the read models keep."""
NEWEST_DECISIONS = 1000
NEWEST_REPLIES = 500
CONNECTORS_S = 3600.0
"""Seconds in which connectors' replies are looked at for breakers."""
DECISIONS = "tool-decisions"
PROJECTION = ".projection"
_FRESH_S = 15.0
_TURNS_FRESH_S = {"1h": 1.0, "24h": 10.0, "7d": 30.0}
_TURNS_A_SECOND = 1000
"""Turns that are read a second, at most, while somebody looks."""
_TURNS_WAIT_S = 10.0
"""Seconds that the overview waits for its first turns: it is nothing without them."""
_BACKUPS_FRESH_S = 3600.0
"""Seconds: the bytes of a whole backup are checked."""
DECIDING = ("modulation", "gating", "conversation")
"""Agents that somebody waits for (architecture, section 6b); the others record."""


@dataclass(frozen=True)
class AgentLag:
    """One agent."""

    role: str
    agent: str
    records: int
    """Still to be read, of all partitions."""
    topics: str
    """Of which topics, for a person."""


@dataclass(frozen=True)
class Turns:
    """Turns of a span."""

    turns: Sequence[RecentTurn]
    cut: bool
    """Whether there are more."""


@dataclass(frozen=True)
class Decided:
    """What was decided and refused in a span."""

    decisions: int
    """Records of `tool-decisions`."""
    letters: Counter[str]
    """Dead letters, by the topic that they were sent to."""
    outcomes: Counter[str]
    """Of the newest decisions in it."""


class Operations:
    """The background of a console. Raises SettingsError where the proxy's secret cannot be used."""

    def __init__(self, gateway: Gateway, settings: ConsoleSettings) -> None:
        self.gateway, self.settings = gateway, settings
        self.proxy = TrustedProxy.of(settings)
        self.tasks = Tasks(lambda: environment(gateway.settings), longest_s=settings.replay_s)
        self.lag: Reading[list[AgentLag]] = Reading(self._lag, _FRESH_S)
        self.members: Reading[dict[str, list[Member]]] = Reading(self._members, _FRESH_S)
        self.breakers: Reading[list[OpenBreaker]] = Reading(self._breakers, _FRESH_S)
        self.connectors: Reading[list[ConnectorBreaker]] = Reading(self._connectors, _FRESH_S)
        self.backups: Reading[BackupHealth] = Reading(self._backups, _BACKUPS_FRESH_S, longest_s=3600.0)
        self.vault: Reading[Vault] = Reading(self._vault, _FRESH_S)
        self._turns = {span: Reading(partial(self._recent, span), _TURNS_FRESH_S[span]) for span in SPANS}
        self._decided = {span: Reading(partial(self._decisions, span), _FRESH_S) for span in SPANS}

    async def turns(self, span: str) -> Known[Turns]:
        """Return the turns of a span of `SPANS`."""
        return await self._turns[span].get(_TURNS_WAIT_S)

    async def decided(self, span: str) -> Known[Decided]:
        """Return decisions and dead letters of a span of `SPANS`."""
        return await self._decided[span].get()

    @property
    def backup_folder(self) -> Any:
        """Where backups are."""
        return self.settings.backups or self.gateway.settings.data_dir / FOLDER

    async def _recent(self, span: str) -> Turns:
        since = time.time() - SPANS[span][0] - SPANS[span][1]
        found = Turns(*await views.recent_turns(redis_of(self.gateway), keys_of(self.gateway), since, MOST_TURNS))
        self._turns[span].fresh_s = max(_TURNS_FRESH_S[span], len(found.turns) / _TURNS_A_SECOND)
        return found

    async def _decisions(self, span: str) -> Decided:
        settings, since = self.gateway.settings, time.time() - SPANS[span][0]
        appended = await appended_since(settings, [DECISIONS, *LETTERS], since)
        found = await self._newest_of_ours(DECISIONS, NEWEST_DECISIONS, since)
        outcomes = Counter(str(value.get("decision")) for _, value in found)
        letters = Counter({source_of(topic): count for topic, count in appended.items() if topic != DECISIONS})
        return Decided(appended[DECISIONS], letters, outcomes)

    async def _lag(self) -> list[AgentLag]:
        records: dict[str, int] = {}
        topics: dict[str, Counter[str]] = {}
        for row in await read_lag(self.gateway.settings, AGENTS):
            records[row.agent] = records.get(row.agent, 0) + row.lag
            topics.setdefault(row.agent, Counter()).update(row.topics)
        return sorted(
            (
                AgentLag(
                    "decide" if agent in DECIDING else "record",
                    agent,
                    count,
                    ", ".join(f"{topic} {number}" for topic, number in topics[agent].most_common(4)),
                )
                for agent, count in records.items()
            ),
            key=lambda one: (one.role, -one.records, one.agent),
        )

    async def _members(self) -> dict[str, list[Member]]:
        group = self.gateway.settings.group
        suffixes = [*(part.suffix for part in PARTS), *WORKER_ROLES, PROJECTION]
        return await read_members(self.gateway.settings, [group + suffix for suffix in suffixes])

    async def _newest_of_ours(self, topic: str, most: int, since: float) -> list[tuple[Any, dict[str, Any]]]:
        """The newest records that we wrote, from an append time on, each with its value."""
        settings = self.gateway.settings
        seals = known_seals(settings)
        return [
            (raw, value)
            for raw in await newest(settings, topic, most)
            if raw.timestamp >= since * 1000
            and (seals is None or seals.valid(topic, raw, dict(raw.headers)))
            and (value := json_object(raw.value)) is not None
        ]

    async def _connectors(self) -> list[ConnectorBreaker]:
        since = time.time() - CONNECTORS_S
        replies = [
            Reply(topic, raw.partition, raw.timestamp / 1000, value)
            for topic in ("model-replies", "tool-results")
            for raw, value in await self._newest_of_ours(topic, NEWEST_REPLIES, since)
        ]
        return connector_breakers(replies)

    async def _breakers(self) -> list[OpenBreaker]:
        return await read_breakers(self.gateway.settings, self.gateway.policy.document.gating)

    async def _backups(self) -> BackupHealth:
        seals = known_seals(self.gateway.settings)
        rules = self.gateway.policy.document.backup
        return await asyncio.to_thread(backup_health, self.backup_folder, datetime.now(UTC), rules, seals)

    async def _vault(self) -> Vault:
        return await look_at_vault(self.gateway, self.settings)
