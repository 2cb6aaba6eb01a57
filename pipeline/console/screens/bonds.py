"""The observation deck: bonds by phase and risk, what happened lately, caps and notes."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.pipeline.console import actions, whose
from endocrine.pipeline.console.browsing.newest import newest
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.paging import listed
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import by_caller, checked, produced
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.views.redis import keys, views

PAGE = 50
EVENTS = 20
"""Events of all bonds that are shown."""
MOST_CAP = 1_000_000
MOST_NOTE = 500


async def deck(console: Console, request: Request, visitor: Visitor) -> Response:
    """List bonds, the last changed first."""
    query = {name: text for name, text in request.query_params.items() if text}
    redis, phase, risk = redis_of(console.gateway), query.get("phase"), query.get("risk")

    async def shown(users: Sequence[bytes]) -> list[dict[str, Any] | None]:
        found = await views.bonds_of(redis, users, phase=phase, risk=risk)
        return [None if one is None else shown_to(visitor.caller, "bonds", one.model_dump()) for one in found]

    page = await listed(redis, keys.bonds_index(), shown, query, PAGE)
    recent, away = await _recent(console, visitor)
    return console.page(request, visitor, "bonds.html", title="Observation deck", page=page, recent=recent, away=away)


async def _recent(console: Console, visitor: Visitor) -> tuple[list[dict[str, Any]], bool]:
    """The newest events of all bonds; and whether they could not be read."""
    settings = console.gateway.settings
    accepted = whose.accepted("bond-events", settings, known_seals(settings))
    try:
        found = await newest(settings, "bond-events", EVENTS)
    except (KafkaError, NoSuchTopic, TimeoutError):
        return [], True
    values = [json_object(raw.value) or {} for raw in reversed(found) if accepted(raw)]
    return [shown_to(visitor.caller, "bond-events", value) for value in values], False


async def command(console: Console, request: Request, visitor: Visitor) -> Response:
    """Set a cap or add a note, as a command on record."""
    form = await form_of(request)
    identity = checked_identity(console.gateway.names, str(form.get("identity", "")))
    value: dict[str, Any] = {"id": uuid.uuid4().hex, "identity": identity, "ts": time.time()}
    if form.get("kind") == "set_cap":
        text = str(form.get("cap", ""))
        if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= MOST_CAP):
            raise Problem("invalid", f"cap: expected a whole number up to {MOST_CAP}; 0 is no cap", field="cap")
        value |= {"kind": "set_cap", "cap": int(text)}
    elif form.get("kind") == "add_note":
        note = str(form.get("note", "")).strip()
        if not 1 <= len(note) <= MOST_NOTE:
            raise Problem("invalid", f"note: expected 1 to {MOST_NOTE} characters", field="note")
        value |= {"kind": "add_note", "text": note}
    else:
        raise Problem("invalid", "the form: expected set_cap or add_note", field="kind")
    gateway = console.gateway
    await produced(gateway, request, "commands", checked(gateway, "commands", by_caller(visitor.caller, value)))
    if form.get("next"):
        return actions.back(form)
    return RedirectResponse(Links("", []).to("identities", identity), 303, HEADERS)


PAGES = (
    Page("/bonds", deck, menu="Observation deck"),
    Page("/bonds", command, "operate", post=True),
)
