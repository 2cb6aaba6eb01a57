"""One identity, or the union of those linked with it: names, links, bond, attribution, style, memory, turns."""

import asyncio
import time
from typing import Any

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.agents.bonds.cap import check_cap
from endocrine.pipeline.console import actions, timeline, whose
from endocrine.pipeline.console.grid import Curve, curves_of, grid_of
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of
from endocrine.pipeline.views.redis import views

Json = dict[str, Any]
TURNS = 20
LATELY = 100
"""Turns among which identities are looked for where none is named."""
MEMORIES = 100
EVENTS = 200
"""Bond events that the phase history is made of."""
_STATES, _LOOKED_AT, _STATES_S = 1000, 4000, 2.0
"""Of the curves: states shown, records looked at, and seconds that they may take."""


async def find(console: Console, request: Request, visitor: Visitor) -> Response:
    """Ask for an identity, and go to its page; below, whose turns came last."""
    asked = request.query_params.get("identity", "").strip()
    if asked:
        name = checked_identity(console.gateway.names, asked)
        return RedirectResponse(Links("", []).to("identities", name), 303, HEADERS)
    return console.page(request, visitor, "identities.html", title="Identities", lately=await _lately(console))


async def _lately(console: Console) -> list[dict[str, Any]]:
    """The newest turn of each identity that has one among the newest; nothing while Redis is away."""
    if (redis := console.gateway.redis) is None:
        return []
    named = keys_of(console.gateway)
    try:
        newest = (await views.page(redis, named.turns(), LATELY)).members
        turns = [shown_turn(one) for one in await views.turns(redis, named, newest)]
    except RedisError:
        return []
    return list({one["identity"]: one for one in reversed(turns)}.values())[::-1]


async def identity(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show all that the read models hold of an identity; with `union` of all that applied links connect with it."""
    name = checked_identity(console.gateway.names, request.path_params["identity"])
    redis, caller = redis_of(console.gateway), visitor.caller
    group = await views.link_group(redis, name)
    members = members_of(request, name, group.members)
    attribution = {one: found for one in members if (found := await views.attribution(redis, one))}
    memories = [one for member in members for one in await views.memories(redis, member)]
    return console.page(
        request,
        visitor,
        "identity.html",
        title=f"Identity {name}",
        identity=name,
        members=members,
        group=group,
        names=_names(console, members),
        links_of=[_link(one) for one in await _links(redis, members)],
        bonds=[bond for one in members if (bond := await _bond(console, visitor, one))],
        grid=grid_of(attribution, await _curves(console, attribution)),
        styles=[(one, style) for one in members if (style := await views.style(redis, one))],
        memories=[shown_to(caller, "memories", one) for one in memories[-MEMORIES:]],
        memories_cut=max(0, len(memories) - MEMORIES),
        trusted=[shown_to(caller, "trusted-states", one) for m in members for one in await views.trusted(redis, m)],
        conflicts=[shown_to(caller, "conflicts", one) for m in members for one in await views.conflicts(redis, m)],
        turns=await _turns(console, members),
    )


def members_of(request: Request, name: str, group: list[str]) -> list[str]:
    """Return whom a page is about: the identity, or with `union` in the address all of its group."""
    return group if request.query_params.get("union") else [name]


def _names(console: Console, members: list[str]) -> list[Json]:
    """What the registry has of them: their ids and the aliases that mean them now."""
    entries = sorted(console.gateway.names.entries.items())
    mine = [entry for (scope, _), entry in entries if scope == "identity" and entry["registered_id"] in members]
    return [dict(entry) for entry in mine if entry["released_from"] is None]


async def _links(redis: Any, members: list[str]) -> list[Json]:
    found = [link for member in members for link in await views.links(redis, member)]
    return list({(link["a"], link["b"]): link for link in found}.values())


def _link(link: Json) -> Json:
    offered = {"proposed": ("apply", "dismiss"), "observed": ("dismiss",), "applied": ("reverse",)}
    return {
        **link,
        "named": actions.packed(link["a"], link["b"]),
        "offered": offered.get(link["status"], ()),
    }


async def _bond(console: Console, visitor: Visitor, name: str) -> Json | None:
    redis = redis_of(console.gateway)
    found = await views.bond(redis, name)
    if found is None:
        return None
    day_s, entry = console.gateway.policy.document.bonds.day_s, found
    cap = check_cap(entry.daily_msg_cap, entry.daily_msg_count, entry.daily_msg_reset_at, time.time(), day_s=day_s)
    events = [shown_to(visitor.caller, "bond-events", one) for one in await views.bond_events(redis, name, EVENTS)]
    return {
        "identity": name,
        "entry": shown_to(visitor.caller, "bonds", entry.model_dump()),
        "cap": cap,
        "phases": [one for one in events if one.get("event_type") == "phase_transition"],
    }


async def _curves(console: Console, attribution: dict[str, dict[str, Json]]) -> dict[tuple[str, str], Curve]:
    """How confidences went, as far as the topic still has it; nothing where the broker is away."""
    if not attribution:
        return {}
    meant = whose.states_of({name: list(found) for name, found in attribution.items()}, console.gateway.settings)
    try:
        async with asyncio.timeout(_STATES_S):
            page = await timeline.newest(console.gateway.settings, [meant], _STATES, most=_LOOKED_AT)
    except (KafkaError, TimeoutError):
        return {}
    return curves_of(value for _, raw in page.records if (value := json_object(raw.value)) is not None)


async def _turns(console: Console, members: list[str]) -> list[Json]:
    redis, named = redis_of(console.gateway), keys_of(console.gateway)
    recent = [one for name in members for one in (await views.page(redis, named.turns(name), TURNS)).members]
    found = [shown_turn(one) for one in await views.turns(redis, named, recent)]
    return sorted(found, key=lambda one: -(one["ts"] or 0.0))[:TURNS]


PAGES = (
    Page("/identities", find, menu="Identities"),
    Page("/identities/{identity:id}", identity),
)
