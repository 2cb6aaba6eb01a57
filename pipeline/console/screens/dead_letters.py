"""Records that could not be processed: an inbox by reason, to be sent again or set aside."""

import time
from collections import Counter

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.data.dead_letters.act import CutShort
from endocrine.pipeline.data.dead_letters.broker import NoLetter, discard, look, one, redrive
from endocrine.pipeline.data.dead_letters.letters import TOPICS, Letter
from endocrine.pipeline.data.dead_letters.select import Filter, topic_name
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.row import number_of, one_of

PAGE = 100
MOST_PAGES = 1000
MOST_AT_ONCE = 1000
"""Records that one action is about."""
MOST_REASON = 500
STATES = ("open", "redriven", "discarded", "all")
_KNOWN = ("span", "topic", "kind", "identity")
SPANS = {"24h": 86_400, "7d": 604_800, "30d": 2_592_000}


async def inbox(console: Console, request: Request, visitor: Visitor) -> Response:
    """List the dead letters of a span, newest first, page by page, with their number by reason."""
    query = {name: text for name, text in request.query_params.items() if text}
    span, status = one_of(query, "span", SPANS) or "24h", one_of(query, "status", STATES) or "open"
    page = number_of(query, "page", 1, 1, MOST_PAGES)
    found = await _meant(console, query)
    shown = [letter for letter in found if status in ("all", letter.status)]
    first = (page - 1) * PAGE
    return console.page(
        request,
        visitor,
        "dead_letters.html",
        title="Dead letters",
        span=span,
        spans=list(SPANS),
        chosen=status,
        states=STATES,
        counts=Counter(letter.kind for letter in shown).most_common(),
        letters=[(source_of(letter.topic), letter) for letter in shown[first : first + PAGE]],
        first=first,
        total=len(shown),
        open=sum(letter.status == "open" for letter in found),
        most=MOST_AT_ONCE,
        topics=[source_of(name) for name in TOPICS],
        filters={name: query[name] for name in _KNOWN if name in query},
        pages=_pages(page, first + PAGE < len(shown)),
    )


async def _meant(console: Console, query: dict[str, str]) -> list[Letter]:
    """The dead letters that a query means, newest first, whatever their state. Raises Problem, 422."""
    span = one_of(query, "span", SPANS) or "24h"
    try:
        topic = topic_name(query["topic"], console.gateway.settings.prefix) if "topic" in query else None
    except ValueError:
        raise Problem("invalid", "query topic: no topic with dead letters", field="topic") from None
    meant = Filter(topic, query.get("kind"), query.get("identity"))
    return await look(console.gateway.settings, meant, since=time.time() - SPANS[span])


def _pages(page: int, more: bool) -> dict[str, dict[str, str | int | None]]:
    found: dict[str, dict[str, str | int | None]] = {}
    if page > 1:
        found["previous"] = {"page": page - 1 if page > 2 else None}
    if more and page < MOST_PAGES:
        found["next"] = {"page": page + 1}
    return found


async def act(console: Console, request: Request, visitor: Visitor) -> Response:
    """Send records again, or set them aside: one by its place, or all open ones that a filter means."""
    form = await form_of(request)
    action = str(form.get("action", ""))
    reason = str(form.get("reason", "")).strip()[:MOST_REASON] or None
    if action not in ("redrive", "discard"):
        raise Problem("invalid", "the form: expected redrive or discard", field="action")
    settings = console.gateway.settings
    try:
        if form.get("place"):
            letters = [await _at(console, str(form["place"]))]
            back = {"status": "all"}
        else:
            back = {name: str(form[name]) for name in _KNOWN if form.get(name)}
            letters = [letter for letter in await _meant(console, back) if letter.status == "open"][:MOST_AT_ONCE]
            if str(len(letters)) != str(form.get("count", "")):
                raise Problem("conflict", f"there are {len(letters)} open ones now; look at them again")
        carry_out = redrive if action == "redrive" else discard
        await carry_out(settings, letters, visitor.caller.name, reason, time.time())
    except NoLetter as gone:
        raise Problem("gone", str(gone)) from None
    except CutShort as short:
        raise Problem("conflict", str(short)) from None
    return RedirectResponse(Links("", []).to("dead-letters", **back), 303, HEADERS)


async def _at(console: Console, place: str) -> Letter:
    """The open dead letter at a place. Raises Problem: 409, 422; NoLetter."""
    parts = place.rsplit("/", 2)
    if len(parts) != 3 or parts[0] not in TOPICS:
        raise Problem("invalid", "the form: expected the place of a dead letter", field="place")
    if not (parts[1].isdecimal() and parts[2].isdecimal() and len(parts[1]) < 10 and len(parts[2]) < 19):
        raise Problem("invalid", "the form: no place of a dead letter", field="place")
    letter, _ = await one(console.gateway.settings, parts[0], int(parts[1]), int(parts[2]))
    if letter.status != "open":
        raise Problem("conflict", f"the dead letter is {letter.status} already")
    return letter


PAGES = (
    Page("/dead-letters", inbox, menu="Dead letters"),
    Page("/dead-letters", act, "operate", post=True),
)
