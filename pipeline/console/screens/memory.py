"""The review of memories: candidates of all subjects or of one, promoted, rejected, or edited first."""

import math
from collections.abc import Sequence
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console import actions
from endocrine.pipeline.console.paging import Place, listed, paged
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.memories import CHANGES
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.gateway.subject_commands import subject_named
from endocrine.pipeline.views.redis import keys, views, waiting
from endocrine.schemas.vocabulary import MemoryStatus, MemoryType

Json = dict[str, Any]
PAGE = 50
MOST_CONTENT = 2000
OFFERED = {"candidate": ("promote", "reject"), "active": ("invalidate",)}
"""What may be done to a memory by its status, beside editing it."""


async def queue(console: Console, request: Request, visitor: Visitor) -> Response:
    """List memories, the oldest first: candidates, or with a subject those in any status."""
    query = {name: text for name, text in request.query_params.items() if text}
    redis, kind = redis_of(console.gateway), one_of(query, "type", get_args(MemoryType))
    status = one_of(query, "status", get_args(MemoryStatus)) or "candidate"
    if "subject" in query:
        subject = subject_named(console.gateway, visitor.caller, query["subject"])
        page = paged(await views.memories(redis, subject, status=status, type=kind), _place, query, PAGE)
    elif status != "candidate":
        raise Problem("invalid", "subject: expected one, to list memories that are no candidates", field="subject")
    else:

        async def of_type(members: Sequence[bytes]) -> list[Json | None]:
            found = await waiting.candidates(redis, members)
            return [one if one is not None and kind in (None, one["type"]) else None for one in found]

        page = await listed(redis, keys.candidates_index(), of_type, query, PAGE, ascending=True)
    return console.page(
        request, visitor, "memory.html", title="Memory", part="queue", chosen=status, page=page,
        memories=[_shown(visitor, one) for one in page.items],
        statuses=get_args(MemoryStatus), types=get_args(MemoryType),
    )  # fmt: skip


def _place(one: Json) -> Place:
    return round(one["created_ts"] * 1e6), one["memory_id"].encode()


def _shown(visitor: Visitor, one: Json) -> Json:
    return {
        **shown_to(visitor.caller, "memories", one),
        "named": actions.packed(one["subject"], one["memory_id"]),
        "offered": OFFERED.get(one["status"], ()),
        # A number field takes steps of a thousandth; what is not changed must not be rounded up.
        "confidence_shown": math.floor(one["confidence"] * 1000) / 1000,
    }


async def change(console: Console, request: Request, visitor: Visitor) -> Response:
    """Change a memory (promote, reject, edit, invalidate) by a command on record."""
    form = await form_of(request)
    action = str(form.get("action", ""))
    if action not in CHANGES or action == "supersede":
        raise Problem("invalid", "the form: expected promote, reject, update or invalidate", field="action")
    named, memory_id = actions.unpacked(form, "named", 2)
    subject = subject_named(console.gateway, visitor.caller, named)
    given: Json = {"kind": f"memory_{action}", "memory_id": memory_id}
    given["reason"] = actions.text_of(form, "reason", actions.MOST_REASON)
    if action == "update":
        given |= _edited(form)
    event = await actions.recorded(console, request, visitor, subject, given, events="memory-events")
    redis = redis_of(console.gateway)

    async def is_shown() -> bool:
        one = await views.memory(redis, subject, memory_id)
        return one is not None and (one["status"] == event["new_status"] if event and action != "update" else True)

    if event is not None:
        await actions.shown(is_shown)
    return actions.back(form)


def _edited(form: Any) -> Json:
    """What of a memory is changed: left as it was where the field was; refused where another changed it meanwhile."""
    version = str(form.get("version", ""))
    if not (version.isascii() and version.isdigit() and len(version) < 16):
        raise Problem("invalid", "version: not what the page sent; load the page again", field="version")
    confidence = actions.share_of(form, "confidence")
    same = confidence is not None and str(form.get("confidence", "")) == str(form.get("confidence_was", ""))
    content = actions.text_of(form, "content", MOST_CONTENT, required=True)
    return {"content": content, "confidence": None if same else confidence, "version": int(version)}


PAGES = (
    Page("/memory", queue, menu="Memory"),
    Page("/memory", change, "review", post=True),
)
