"""Trusted state of a subject: what is in force, what was before, and an operator's new word."""

from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console import actions, timeline, whose
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.routes.trusted import with_room
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.gateway.subject_commands import subject_named
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.views.redis import views

Json = dict[str, Any]
HISTORY = 50
_TOPIC = "state-events"
_MOST = {"category": 32, "key": 64, "value": 4000, "source": 256, "reason": 1000}


async def trusted(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show the trusted state of a subject, and its history as far as the topic has it."""
    query = {name: text for name, text in request.query_params.items() if text}
    categories = console.gateway.policy.document.trusted_state.categories
    category, cursor = one_of(query, "category", categories), timeline.cursor_of(query.get("before"), (_TOPIC,))
    subject, entries, history, away = None, list[Json](), timeline.Timeline(), False
    if "subject" in query:
        subject = subject_named(console.gateway, visitor.caller, query["subject"])
        found = await views.trusted(redis_of(console.gateway), subject, superseded=True)
        entries = [_shown(visitor, one) for one in found if category in (None, one["category"])]
        try:
            history = await _history(console, subject, category, cursor)
        except (KafkaError, TimeoutError):
            away = True
    events = [shown_to(visitor.caller, _TOPIC, json_object(raw.value) or {}) for _, raw in history.records]
    return console.page(
        request, visitor, "trusted.html", title="Trusted state", part="trusted", subject=subject,
        subject_named="" if subject is None else actions.packed(subject),
        entries=entries, events=events, away=away, looked_at=history.looked_at, categories=categories,
        before=timeline.shown_cursor(history.next),
    )  # fmt: skip


def _shown(visitor: Visitor, entry: Json) -> Json:
    named = actions.packed(entry["subject"], entry["category"], entry["key"])
    return {**shown_to(visitor.caller, "trusted-states", entry), "named": named}


async def _history(
    console: Console, subject: str, category: str | None, cursor: timeline.Cursor | None
) -> timeline.Timeline:
    settings = console.gateway.settings
    meant = whose.keys_of_topic(
        _TOPIC, [subject], settings, known_seals(settings), only=lambda value: category in (None, value["category"])
    )
    return await timeline.newest(settings, [meant], HISTORY, cursor)


async def state(console: Console, request: Request, visitor: Visitor) -> Response:
    """Set an entry or end one, as a command on record."""
    form = await form_of(request)
    action = str(form.get("action", ""))
    if action == "set":
        (named,) = actions.unpacked(form, "named", 1)
        subject = subject_named(console.gateway, visitor.caller, named)
        given: Json = {
            "kind": "state_set",
            **{name: actions.text_of(form, name, _MOST[name], required=True) for name in ("category", "key", "value")},
            "source": actions.text_of(form, "source", _MOST["source"]),
            "confidence": actions.share_of(form, "confidence"),
        }
        await with_room(console.gateway, subject, str(given["category"]), str(given["key"]))
    elif action == "invalidate":
        named, category, key = actions.unpacked(form, "named", 3)
        subject = subject_named(console.gateway, visitor.caller, named)
        given = {
            "kind": "state_invalidate",
            "category": category,
            "key": key,
            "reason": actions.text_of(form, "reason", _MOST["reason"]),
        }
    else:
        raise Problem("invalid", "the form: expected set or invalidate", field="action")
    event = await actions.recorded(console, request, visitor, subject, given, events=_TOPIC)

    async def is_shown() -> bool:
        entries = await views.trusted(redis_of(console.gateway), subject, superseded=True)
        named = [one for one in entries if (one["category"], one["key"]) == (given["category"], given["key"])]
        return event is None or any(one["version"] >= (event["version"] or 0) for one in named)

    await actions.shown(is_shown)
    return actions.back(form)


PAGES = (
    Page("/memory/trusted", trusted),
    Page("/memory/trusted", state, "operate", post=True),
)
