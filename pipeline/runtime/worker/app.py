"""The Faust application: one agent per agent of the roster, one table per agent for its place in the assignment."""

from typing import Any

import faust
from yarl import URL

from endocrine.agents.contract import Agent
from endocrine.pipeline.process.settings import METADATA_MAX_AGE_MS, Settings
from endocrine.pipeline.runtime.worker.credentials import credentials
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from endocrine.pipeline.runtime.worker.recovery import TableManager
from endocrine.pipeline.runtime.worker.transport import BatchTransport

NEVER_S = 10 * 365 * 86_400.0
"""Seconds; longer than any worker lives."""


class EndocrineApp(faust.App):
    """A Faust application with batch transport and units."""

    manager: ProcessorManager

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)


def build_app(settings: Settings, manager: ProcessorManager, *, worker_id: str) -> EndocrineApp:
    """Return the application, wired; nothing is started. worker_id: unique per process, names it in the assignment."""
    datadir = settings.data_dir / "faust" / worker_id
    datadir.mkdir(parents=True, exist_ok=True)
    app = EndocrineApp(
        settings.group,
        broker=[URL(f"kafka://{server}") for server in settings.bootstrap.split(",")],
        broker_credentials=credentials(settings),
        broker_client_id=f"worker-{settings.instance or worker_id}",  # what lists of a group's members show
        autodiscover=False,
        web_enabled=False,  # Faust's web would serve table data to anyone
        # The assignment names members by this URL, and a static member is handed its predecessor's assignment.
        canonical_url=f"http://{settings.instance or worker_id}",
        store="memory://",
        datadir=str(datadir),
        topic_partitions=settings.partitions,
        topic_allow_declare=False,  # topics are ours, made before a worker joins
        topic_disable_leader=True,
        TableManager=TableManager,
        # A standby reads along in a changelog. We have none, and Faust would assign us the changelogs of others.
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_group_instance_id=settings.instance,
        consumer_max_fetch_size=max(settings.topic_message_bytes, 1 << 20),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(3.0, settings.session_timeout_s / 4),
        broker_request_timeout=max(40.0, settings.session_timeout_s * 1.5),
        # Faust watches for streams that make no progress by what it reads and commits itself; changelogs stay paused
        # and offsets are committed by the manager, so it would warn for ever. The manager watches its units.
        stream_processing_timeout=NEVER_S,
        broker_commit_livelock_soft_timeout=NEVER_S,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        processing_guarantee="at_least_once",
    )
    app.manager = manager
    for agent in manager.agents.values():
        _wire(app, settings, agent)
    app.on_partitions_revoked.connect(_on_revoked)
    return app


async def _on_revoked(app: EndocrineApp, revoked: Any, **kwargs: Any) -> None:
    await app.manager.stop_processors()


def _wire(app: EndocrineApp, settings: Settings, agent: Agent) -> None:
    prefix = settings.prefix
    changelog = app.topic(f"{prefix}changelog.{agent.name}", partitions=settings.partitions, acks=False)
    app.Table(f"{agent.name}", partitions=settings.partitions, changelog_topic=changelog)
    sources = app.topic(*(prefix + topic for topic in agent.sources), acks=False)

    async def take(stream: Any) -> None:
        """Return subscribe: what comes goes past it (endocrine.pipeline.runtime.worker.transport)."""
        async for _ in stream:
            pass

    take.__name__ = take.__qualname__ = agent.name  # Faust names agents in logs by their function
    app.agent(sources, name=agent.name)(take)
