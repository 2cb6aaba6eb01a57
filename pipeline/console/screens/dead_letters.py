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
from endocrine.pipeline.data.dead_letters.letters import TOPICS
from endocrine.pipeline.data.dead_letters.select import Filter, topic_name
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.row import one_of

PAGE = 200
SPANS = {"24h": 86_400, "7d": 604_800, "30d": 2_592_000}


async def inbox(console: Console, request: Request, visitor: Visitor) -> Response:
    """List the dead letters of a span, newest first."""
    query = {name: text for name, text in request.query_params.items() if text}
    span = one_of(query, "span", SPANS) or "24h"
    try:
        topic = topic_name(query["topic"], console.gateway.settings.prefix) if "topic" in query else None
    except ValueError:
        raise Problem("invalid", "query topic: no topic with dead letters", field="topic") from None
    meant = Filter(topic, query.get("kind"), query.get("identity"))
    letters = await look(console.gateway.settings, meant, since=time.time() - SPANS[span])
    status = query.get("status", "open")
    shown = [letter for letter in letters if status in ("all", letter.status)]
    return console.page(
        request,
        visitor,
        "dead_letters.html",
        title="Dead letters",
        span=span,
        spans=list(SPANS),
        chosen=status,
        counts=Counter(letter.kind for letter in shown).most_common(),
        letters=[(source_of(letter.topic), letter) for letter in shown[:PAGE]],
        total=len(shown),
        topics=[source_of(name) for name in TOPICS],
    )


async def act(console: Console, request: Request, visitor: Visitor) -> Response:
    """Send a record again, or set it aside; who did it is on record."""
    form = await form_of(request)
    action, place = str(form.get("action", "")), str(form.get("place", ""))
    reason = str(form.get("reason", "")).strip()[:500] or None
    parts = place.rsplit("/", 2)
    if action not in ("redrive", "discard") or len(parts) != 3 or parts[0] not in TOPICS:
        raise Problem("invalid", "the form: expected redrive or discard, and the place of a dead letter")
    if not (parts[1].isdecimal() and parts[2].isdecimal() and len(parts[1]) < 10 and len(parts[2]) < 19):
        raise Problem("invalid", "the form: no place of a dead letter", field="place")
    settings = console.gateway.settings
    try:
        letter, _ = await one(settings, parts[0], int(parts[1]), int(parts[2]))
        if letter.status != "open":
            raise Problem("conflict", f"the dead letter is {letter.status} already")
        carry_out = redrive if action == "redrive" else discard
        await carry_out(settings, [letter], visitor.caller.name, reason, time.time())
    except NoLetter as gone:
        raise Problem("gone", str(gone)) from None
    except CutShort as short:
        raise Problem("conflict", str(short)) from None
    return RedirectResponse(Links("", []).to("dead-letters", status="all"), 303, HEADERS)


PAGES = (
    Page("/dead-letters", inbox, menu="Dead letters"),
    Page("/dead-letters", act, "operate", post=True),
)
