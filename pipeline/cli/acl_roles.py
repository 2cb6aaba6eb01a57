"""What each role may do on Kafka, from the catalogue and from what agents, connectors and doors read and write."""

from collections.abc import Callable, Iterable, Mapping

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.deadlines import BY as TIMEKEEPER
from endocrine.pipeline.connectors.timers import TOPICS as TIMED
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.gateway.awaiting import ANSWERED_SOURCES, AUTHORS
from endocrine.pipeline.gateway.events import TOPICS as STREAMED
from endocrine.pipeline.kafka.acls import Acl, Operation
from endocrine.pipeline.kafka.topic_layout import changelog_name, physical_topics
from endocrine.pipeline.process.roles import groups_of
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis.writes import TOPICS as PROJECTED

INPUTS = tuple(topic.name for topic in CATALOGUE.values() if topic.owner is not None and not topic.ours)
"""Topics that applications, sensors and operators write."""
_NAMES = ("registry", "registry-events")
_KEYS = "content-keys"
"""Read by all who read content, written by all who write it; empty where `content_encryption` was never on."""
_ROLLOUTS, _PUBLISHED = "policy-rollouts", ("policies", "policy-rollouts")
"""What says which policy is in force is written by whoever may publish one and by nobody else; the documents in
`policies`, which replay reads, by workers too."""


def _worker(settings: Settings) -> list[Acl]:
    sources = {topic for agent in AGENTS for topic in agent.sources}
    owned = [topic for topic in CATALOGUE.values() if topic.owner is not None]
    # A misrouted record is written again to its own topic, a malformed one to the dead letters.
    written = {"journal", "policies", *(topic for agent in AGENTS for topic in agent.targets)}
    written |= {topic.name for topic in owned} | {topic.dead_letters for topic in owned}
    changelogs = [changelog_name(settings, agent.name).removeprefix(settings.prefix) for agent in AGENTS]
    return [
        *_topics(settings, "READ", (*sources, _ROLLOUTS, _KEYS, *changelogs)),
        *_topics(settings, "WRITE", (*written, _KEYS, *changelogs)),
        *_looks(settings, agents=True),
        *(Acl("GROUP", group, "READ") for group in groups_of(settings.group)),
    ]


def _gateway(settings: Settings) -> list[Acl]:
    answers = (*AUTHORS, *(CATALOGUE[topic].dead_letters for topic in ANSWERED_SOURCES))
    explained = ("audits", "context-packs", *INPUTS)
    return [
        *_topics(settings, "READ", (*STREAMED, *answers, *_NAMES, *explained, _KEYS, *_PUBLISHED)),
        *_topics(
            settings,
            "WRITE",
            (*INPUTS, "candidates", "reinforcements", "context-packs", "late-advice", "images", _KEYS, *_PUBLISHED),
        ),
        *_looks(settings),
    ]


def _connector(settings: Settings) -> list[Acl]:
    groups = [f"{settings.group}.{name}" for name in ("model", "tools", TIMEKEEPER)]
    effects = (
        "model-requests",
        "model-replies",
        "tool-calls",
        "tool-decisions",
        "tool-results",
        "effect-starts",
        "images",
    )
    read = (*TIMED, *effects, _ROLLOUTS, _KEYS)
    written = ("model-replies", "model-chunks", "tool-results", "effect-starts", "scheduled-tasks", "commands", _KEYS)
    return [
        *_topics(settings, "READ", read),
        *_topics(settings, "WRITE", written),
        *_looks(settings),
        *(Acl("GROUP", group, "READ") for group in groups),
    ]


def _projector(settings: Settings) -> list[Acl]:
    return [
        *_topics(settings, "READ", (*PROJECTED, "registry", _KEYS)),
        Acl("GROUP", f"{settings.group}.projection", "READ"),
    ]


def _auditor(settings: Settings) -> list[Acl]:
    every = [topic.name for topic in physical_topics(settings, [agent.name for agent in AGENTS])]
    read = [Acl("TOPIC", name, "READ") for name in every]
    # Whose commits tell how far workers are (`endocrine lag`).
    groups = [Acl("GROUP", group, "DESCRIBE") for group in groups_of(settings.group)]
    return [*read, *_topics(settings, "WRITE", ("checkpoints",)), *groups]


def _operator(settings: Settings) -> list[Acl]:
    """Who runs commands that change what is there: `dlq redrive`, `erase`, answers, drills; sees all that an auditor
    sees. `backup drill`, `backup restore` and `repartition` make topics besides, which no role may."""
    read_by_agents = [topic.name for topic in CATALOGUE.values() if topic.owner is not None]
    return [
        *_auditor(settings),
        *_topics(settings, "WRITE", (*read_by_agents, "dlq-actions", "ops-events")),
        # Receipts of erasures date what goes by retention; the launch gate judges it.
        *_looks(settings, agents=True),
    ]


def _producer(settings: Settings) -> list[Acl]:
    return [*_topics(settings, "READ", (*_NAMES, _KEYS)), *_topics(settings, "WRITE", (*INPUTS, _KEYS))]


def _publisher(settings: Settings) -> list[Acl]:
    """Who runs `endocrine policy publish`; it needs the seal keys beside this."""
    return [*_topics(settings, "READ", _PUBLISHED), *_topics(settings, "WRITE", _PUBLISHED)]


ROLES: Mapping[str, Callable[[Settings], list[Acl]]] = {
    "worker": _worker,
    "gateway": _gateway,
    "connector": _connector,
    "projector": _projector,
    "auditor": _auditor,
    "operator": _operator,
    "producer": _producer,
    "publisher": _publisher,
}


def acls_of(role: str, settings: Settings) -> list[Acl]:
    """Return what the role needs, by resource; nothing twice, and no DESCRIBE that READ or WRITE implies."""
    found = sorted(set(ROLES[role](settings)))
    touched = {acl.name for acl in found if acl.operation in ("READ", "WRITE")}
    return [acl for acl in found if acl.operation != "DESCRIBE" or acl.name not in touched]


def _topics(settings: Settings, operation: Operation, names: Iterable[str]) -> list[Acl]:
    return [Acl("TOPIC", settings.prefix + name, operation) for name in names]


def _looks(settings: Settings, *, agents: bool = False) -> list[Acl]:
    """At start a process looks whether topics are as declared."""
    named = [agent.name for agent in AGENTS] if agents else []
    looks: tuple[Operation, ...] = ("DESCRIBE", "DESCRIBE_CONFIGS")
    return [Acl("TOPIC", topic.name, look) for topic in physical_topics(settings, named) for look in looks]
