"""An erased subject and the read models: its keys and guards are deleted, and no rebuild brings them back."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka.errors import RequestTimedOutError

from endocrine.agents._shared.subjects import is_project
from endocrine.agents.names.claims import ERASED, claim_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, batches
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys

if TYPE_CHECKING:
    from redis.asyncio import Redis

OWN = (
    keys.bond,
    keys.bond_events,
    keys.attribution,
    keys.trusted,
    keys.memories,
    keys.conflicts,
    keys.links,
    keys.style,
)
"""Keys that a subject has of its own; each has a guard beside it."""


async def erase_views(client: "Redis", named: ViewKeys, names: Iterable[str]) -> dict[str, int]:
    """Delete what the read models hold of a subject under these names; return the number of entries gone, by key name
    without the subject. Raises RedisError."""
    gone: dict[str, int] = {}
    now = time.time()

    def count(what: str, number: int) -> None:
        if number:
            gone[what] = gone.get(what, 0) + number

    everything: Any = client
    for name in names:
        # The tombstones may have emptied the links already; the guard beside them still has a mark for each other.
        marks = [mark.partition(b"#")[2] for mark in await everything.hkeys(keys.guard(keys.links(name)))]
        for other in sorted({*marks, *await everything.hkeys(keys.links(name))}):
            theirs = keys.links(other.decode())
            count("links of others", await everything.hdel(theirs, name))
            ends = f"#{name}".encode()
            if gone_marks := [mark for mark in await everything.hkeys(keys.guard(theirs)) if mark.endswith(ends)]:
                await everything.hdel(keys.guard(theirs), *gone_marks)
        for place in OWN:
            key = place(name)
            count(key.removesuffix(name), await everything.delete(key))
            count("guards", await everything.delete(keys.guard(key)))
        count("bonds index", await everything.zrem(keys.bonds_index(), name))
        await everything.srem(keys.foreign_keys(), keys.bond(name), keys.bond_events(name))
        listed = named.turns(project=name.partition(":")[2]) if is_project(name) else named.turns(name)
        for audit_id in await everything.zrange(listed, 0, -1) if not is_project(name) else ():
            opened = await everything.hget(named.turn(audit_id.decode()), "opened")
            project = orjson.loads(opened).get("project") if opened else None
            if project:
                await everything.zrem(named.turns(project=project), audit_id)
            await everything.zrem(named.turns(), audit_id)
            count("turns", await everything.delete(named.turn(audit_id.decode())))
        for span_s in keys.SPEND_STEPS:
            for step in named.spend(span_s, now)[1]:
                count("spend", await everything.zrem(step, f"={name}"))
        count("lists of turns", await everything.delete(listed))
        incidents = [
            one
            for one in await everything.zrange(named.incidents(), 0, -1)
            if orjson.dumps(name) in one and orjson.loads(one).get("identity") == name
        ]
        if incidents:
            count("incidents", await everything.zrem(named.incidents(), *incidents))
    return gone


class ErasedSubjects:
    """Which subjects were erased, and when: what lies on topics of them from before is not projected again."""

    def __init__(self, claims: Mapping[str, int]) -> None:
        """claims: append time of each claim, milliseconds since 1970, by its name."""
        self._claims = claims

    @classmethod
    async def read(cls, settings: Settings) -> "ErasedSubjects":
        """Return those of the registry now; where there is no registry, nobody was erased. Raises KafkaError."""
        found: dict[str, int] = {}
        try:
            async for _, _, records in batches(settings, ["registry"]):
                for raw in records:
                    name = (raw.key or b"").decode("utf-8", "replace").partition("/")[2]
                    if name.startswith(ERASED) and raw.value is not None:
                        found[name] = raw.timestamp
        except NoSuchTopic:
            return cls({})
        except TimeoutError as error:
            raise RequestTimedOutError("the registry of names gave no records") from error
        return cls(found)

    def without(self, topic: str, records: Sequence[Any]) -> Sequence[Any]:
        """Return the records of one topic that are not about a subject erased since; tombstones stay."""
        if not self._claims:
            return records
        return [raw for raw in records if raw.value is None or not self._hides(topic, raw)]

    def _hides(self, topic: str, raw: Any) -> bool:
        try:
            key = (raw.key or b"").decode()
            found = orjson.loads(key) if topic == "identity-links" else [CATALOGUE[topic].identity_in(key)]
        except (ValueError, TypeError, IndexError):
            return False
        for name in found if isinstance(found, list) else ():
            scope, bare = ("project", str(name).partition(":")[2]) if is_project(str(name)) else ("identity", str(name))
            since = self._claims.get(claim_of(scope, bare))
            if since is not None and raw.timestamp < since:
                return True
        return False
