"""One identity: attribution, style, bond, memory, links, newest turns."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of
from endocrine.pipeline.views.redis import views

TURNS = 20
MEMORIES = 100


async def find(console: Console, request: Request, visitor: Visitor) -> Response:
    """Ask for an identity, and go to its page."""
    asked = request.query_params.get("identity", "").strip()
    if asked:
        name = checked_identity(console.gateway.names, asked)
        return RedirectResponse(Links("", []).to("identities", name), 303, HEADERS)
    return console.page(request, visitor, "identities.html", title="Identities")


async def identity(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show all that the read models hold of an identity."""
    name = checked_identity(console.gateway.names, request.path_params["identity"])
    redis, named = redis_of(console.gateway), keys_of(console.gateway)
    bond = await views.bond(redis, name)
    style = await views.style(redis, name) or {}
    recent = (await views.page(redis, named.turns(name), TURNS)).members
    memories = (await views.memories(redis, name))[:MEMORIES]
    return console.page(
        request,
        visitor,
        "identity.html",
        title=f"Identity {name}",
        identity=name,
        attribution=sorted((await views.attribution(redis, name)).items()),
        style=style,
        style_rows=[{"name": key, "value": one} for key, one in style.items()],
        bond=None if bond is None else shown_to(visitor.caller, "bonds", bond.model_dump()),
        events=[shown_to(visitor.caller, "bond-events", one) for one in await views.bond_events(redis, name, 20)],
        memories=[shown_to(visitor.caller, "memories", one) for one in memories],
        trusted=[shown_to(visitor.caller, "trusted-states", one) for one in await views.trusted(redis, name)],
        conflicts=[shown_to(visitor.caller, "conflicts", one) for one in await views.conflicts(redis, name)],
        group=(await views.link_group(redis, name)).members,
        turns=[shown_turn(one) for one in await views.turns(redis, named, recent)],
    )


PAGES = (
    Page("/identities", find, menu="Identities"),
    Page("/identities/{identity:id}", identity),
)
