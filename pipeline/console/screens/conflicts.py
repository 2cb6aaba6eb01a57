"""Conflicts: values that disagree about one slot of a subject, side by side, and how a person ends them."""

from collections.abc import Sequence
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents._shared.memories import value_digest
from endocrine.pipeline.console import actions
from endocrine.pipeline.console.paging import Place, listed, paged
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.gateway.subject_commands import subject_named
from endocrine.pipeline.views.redis import keys, views, waiting
from endocrine.schemas.vocabulary import ConflictLayer, ConflictStatus

Json = dict[str, Any]
PAGE = 20
AUTHORITY = dict(
    zip(
        get_args(ConflictLayer),
        ("trusted state, an operator's word", "the tool that it is from", "an entity", "a memory"),
        strict=True,
    )
)
"""Layers in the order of authority, each with what it is."""
ACTIONS = ("no_action", "dismiss")


async def conflicts(console: Console, request: Request, visitor: Visitor) -> Response:
    """List conflicts: open ones of all subjects, or with a subject those in any status."""
    query = {name: text for name, text in request.query_params.items() if text}
    redis, status = redis_of(console.gateway), one_of(query, "status", get_args(ConflictStatus)) or "open"
    if "subject" in query:
        subject = subject_named(console.gateway, visitor.caller, query["subject"])
        page = paged(await views.conflicts(redis, subject, status=status), _place, query, PAGE)
    elif status != "open":
        raise Problem("invalid", "subject: expected one, to list conflicts that are not open", field="subject")
    else:

        async def known(members: Sequence[bytes]) -> list[Json | None]:
            return await waiting.conflicts(redis, members)

        page = await listed(redis, keys.conflicts_index(), known, query, PAGE)
    return console.page(
        request, visitor, "conflicts.html", title="Conflicts", part="conflicts", chosen=status, page=page,
        conflicts=[_shown(visitor, one) for one in page.items], statuses=get_args(ConflictStatus),
    )  # fmt: skip


def _place(one: Json) -> Place:
    return 0, str(one["slot"]).encode()  # a subject's conflicts are listed by slot


def _shown(visitor: Visitor, one: Json) -> Json:
    content = visitor.may("content")
    layers = list(AUTHORITY)
    sides = [
        {
            **member,
            "value": member["value"] if content else None,
            "rank": layers.index(member["layer"]) + 1,
            "authority": AUTHORITY[member["layer"]],
            "choice": actions.packed(member["id"]),
            "preferred": member["id"] == one["preferred"],
            "may_win": _may_win(member, one["members"]),
        }
        for member in one["members"]
    ]
    known = {name: part for name, part in one.items() if name not in ("members", "reason")}
    return {
        **known,
        "reason": one["reason"] if content else None,
        "sides": sides,
        "named": actions.packed(one["subject"], one["slot"], one["conflict_id"]),
    }


def _may_win(side: Json, members: list[Json]) -> bool:
    """Whether `supersede_others` would take it: nothing wins over trusted state, which is changed, not outvoted."""
    others = [one for one in members if one["layer"] == "state" and one["id"] != side["id"]]
    return all(value_digest(one["value"]) == value_digest(side["value"]) for one in others)


async def resolve(console: Console, request: Request, visitor: Visitor) -> Response:
    """End a conflict: one side wins, both stay, or they are not about the same thing."""
    form = await form_of(request)
    named, slot, conflict_id = actions.unpacked(form, "named", 3)
    subject = subject_named(console.gateway, visitor.caller, named)
    choice, winner = str(form.get("choice", "")), None
    if choice not in ACTIONS:
        (winner,) = actions.unpacked(form, "choice", 1)
        choice = "supersede_others"
    given = {
        "kind": "conflict_resolve",
        "slot": slot,
        "conflict_id": conflict_id,
        "action": choice,
        "winner": winner,
        "reason": actions.text_of(form, "reason", actions.MOST_REASON),
    }
    event = await actions.recorded(console, request, visitor, subject, given, events="conflict-events")
    redis = redis_of(console.gateway)

    async def ended() -> bool:
        still = await views.conflicts(redis, subject, status="open")
        return all(one["conflict_id"] != conflict_id for one in still)

    if event is not None:
        await actions.shown(ended)
    return actions.back(form)


PAGES = (
    Page("/memory/conflicts", conflicts),
    Page("/memory/conflicts", resolve, "review", post=True),
)
