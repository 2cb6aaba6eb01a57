"""What a context pack is built from, as a door reads it: the read models, and passages of a folder."""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from endocrine.agents._shared.subjects import project_subject
from endocrine.agents.context.lines import Chunk
from endocrine.agents.context.pack import Pack, Subjects, SubjectView, Views, build_context
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.tools.handler import ToolError
from endocrine.pipeline.connectors.tools.retrieval import Corpus
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys, views

if TYPE_CHECKING:
    from redis.asyncio import Redis

Json = dict[str, Any]
TOPIC = "context-packs"
SOURCES = ("trusted-states", "memories", "conflicts")
"""Topics whose read models a pack is made from."""
UNAVAILABLE: Json = {"status": "unavailable", "fail_open": True}
_log = structlog.get_logger("endocrine.context")


class Built(NamedTuple):
    """A pack, and the state of what it was made from."""

    pack: Pack
    as_of: dict[str, int]
    """Per `topic/partition` the offset, exclusive, up to which the read models had it, at least."""
    duration_ms: float


class Passages:
    """Passages of a folder; without one there are none. One that cannot be searched gives none, which is logged."""

    def __init__(self, folder: Path | None) -> None:
        self._corpus = None if folder is None else Corpus(folder)
        self.failed = 0
        """Searches that failed."""

    async def find(self, prompt: str, most: int) -> list[Chunk]:
        """Return at most so many passages about a prompt, best first."""
        if self._corpus is None or not most:
            return []
        try:
            hits = await asyncio.to_thread(self._corpus.search, prompt, most)
        except (OSError, sqlite3.Error, ToolError) as error:
            self.failed += 1
            _log.warning("passages cannot be searched; the pack has none", error=type(error).__name__)
            return []
        return [Chunk(hit.source, hit.heading_path, hit.text, hit.score) for hit in hits]


def subjects_of(names: NameTable, identity: str | None, project: str | None) -> Subjects:
    """Return the subjects of a pack; names that are registered ids, as a door has resolved them."""
    aliases = () if project is None else sorted(
        str(entry["name"])
        for (scope, _), entry in names.entries.items()
        if scope == "project" and entry["registered_id"] == project and entry["released_from"] is None
    )  # fmt: skip
    return Subjects(identity, project, tuple(name for name in aliases if name != project))


async def build(
    redis: "Redis",
    settings: Settings,
    policy: Policy,
    prompt: str,
    subjects: Subjects,
    passages: Passages,
    budget: int | None = None,
    most_passages: int | None = None,
) -> Built:
    """Read and build. Raises RedisError."""
    began, rules = time.perf_counter(), policy.document.context
    places = {
        f"{topic}/{partition_of(subject, settings.partitions)}": None
        for subject in (subjects.identity, project_subject(subjects.project))
        if subject is not None
        for topic in SOURCES
    }
    # Before the views themselves: they have at least as much.
    held: Any = await redis.hmget(keys.positions(settings.group), [settings.prefix + place for place in places])
    mine, theirs, chunks = await asyncio.gather(
        _view(redis, subjects.identity),
        _view(redis, project_subject(subjects.project)),
        passages.find(prompt, rules.passages if most_passages is None else most_passages),
    )
    found = Views(mine, theirs, chunks)
    pack = build_context(prompt, subjects, found, rules.budget if budget is None else budget, rules)
    as_of = {place: int(offset) for place, offset in zip(places, held, strict=True) if offset is not None}
    return Built(pack, as_of, round((time.perf_counter() - began) * 1000, 3))


async def _view(redis: "Redis", subject: str | None) -> SubjectView:
    if subject is None:
        return SubjectView()
    return SubjectView(
        *await asyncio.gather(
            views.trusted(redis, subject),
            views.memories(redis, subject, status="active"),
            views.conflicts(redis, subject, status="open"),
        )
    )


def answer_of(built: Built) -> Json:
    """Return what a door answers."""
    pack = built.pack
    return {
        "status": "built",
        "pack_id": pack.pack_id,
        "formatted_context": pack.formatted_context,
        "total_chars": len(pack.formatted_context),
        "budget": pack.budget,
        "budget_remaining": pack.budget - len(pack.formatted_context),
        "project_state_chars": pack.project_state_chars,
        "memories_used": list(pack.memories_used),
        "chunks_used": len(pack.chunks),
        "chunks": _chunks(pack),
        "disputed": list(pack.disputed),
        "duration_ms": built.duration_ms,
        "as_of": built.as_of,
    }


def empty_answer(status: Json, budget: int) -> Json:
    """Return what a door answers where it has no pack, and why."""
    none: Json = {"memories_used": [], "chunks_used": 0, "chunks": [], "disputed": [], "as_of": {}}
    sizes = {"total_chars": 0, "budget": budget, "budget_remaining": budget, "project_state_chars": 0}
    return {"pack_id": None, "formatted_context": "", **sizes, **none, "duration_ms": 0.0, **status}


def record_of(built: Built, subjects: Subjects, policy: Policy, *, id: str, by: str, ts: float) -> Json:
    """Return the record of topic `context-packs`. The pack is one of an identity."""
    pack, answer = built.pack, answer_of(built)
    same = ("pack_id", "formatted_context", "total_chars", "budget", "project_state_chars", "memories_used", "chunks",
            "disputed", "as_of")  # fmt: skip
    return {
        "id": id,
        "identity": subjects.identity,
        "project": subjects.project,
        **{name: answer[name] for name in same},
        "state": list(pack.state),
        "policy": policy.digest,
        "by": by,
        "ts": ts,
    }


def _chunks(pack: Pack) -> list[Json]:
    return [
        {"source_file": one.source_file, "heading_path": one.heading_path, "score": one.score} for one in pack.chunks
    ]
