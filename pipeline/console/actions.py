"""What the forms of pages do: a command on record, its outcome within a moment, and back to where one was."""

import asyncio
import base64
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.pipeline.console.links import back_to
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import by_caller, checked
from endocrine.pipeline.gateway.routes.commands import outcome_of
from endocrine.pipeline.gateway.subject_commands import event_shown
from endocrine.pipeline.gateway.watch import Overloaded

Json = dict[str, Any]
WAIT_S = 5
"""Seconds for the outcome of a command; later ones are seen on the page when they come."""
_VIEW_S, _LOOK_S = 2.0, 0.05
"""Seconds for the read models to show an outcome, and between two looks."""
MOST_REASON = 2000


def text_of(form: FormData, name: str, most: int, *, required: bool = False) -> str | None:
    """Return a field's text without the white space around it; None where it is empty. Raises Problem, 422."""
    text = str(form.get(name, "")).replace("\r\n", "\n").strip()
    if len(text) > most or (required and not text):
        raise Problem("invalid", f"{name}: expected {1 if required else 0} to {most} characters", field=name)
    return text or None


def share_of(form: FormData, name: str) -> float | None:
    """Return a share, 0 to 1; None where the field is empty. Raises Problem, 422."""
    text = str(form.get(name, "")).strip()
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise Problem("invalid", f"{name}: expected a number from 0 to 1", field=name)
    return share


def packed(*parts: str) -> str:
    """Return names as one field of a form: browsers change line feeds in fields, and white space is cut elsewhere.

    >>> unpacked({"named": packed("a b", "c")}, "named", 2)
    ['a b', 'c']
    """
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def unpacked(form: Mapping[str, Any], name: str, *counts: int) -> list[str]:
    """Return the names in a field, of which there are as many as one of these counts. Raises Problem, 422."""
    try:
        parts = orjson.loads(base64.b64decode(str(form.get(name, "")), altchars=b"-_", validate=True))
    except ValueError:
        parts = None
    if not isinstance(parts, list) or len(parts) not in counts or not all(isinstance(one, str) for one in parts):
        raise Problem("invalid", f"{name}: not what the page sent; load the page again", field=name)
    return parts


async def recorded(
    console: Console,
    request: Request,
    visitor: Visitor,
    whose: str,
    given: Json,
    *,
    events: str | None = None,
) -> Json | None:
    """Produce a command of the visitor, and return its outcome; None: there is none yet. What is None is left out.

    whose: identity or subject. events: the topic of its events, for commands about subjects. Raises Problem: 404 or
    409 where it is refused, 422, 503.
    """
    value = {name: part for name, part in given.items() if part is not None}
    value |= {"id": uuid.uuid4().hex, CATALOGUE["commands"].identity_field: whose, "ts": time.time()}
    value = checked(console.gateway, "commands", by_caller(visitor.caller, value))
    try:
        if events is None:
            return await outcome_of(console.gateway, request, value, WAIT_S)
        return await event_shown(console.gateway, request, visitor.caller, value, WAIT_S, events)
    except Overloaded as error:
        raise Problem("overloaded", str(error), headers={"retry-after": "1"}) from None


async def shown(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the read models show something, but not for long: the page follows them anyway."""
    end = time.monotonic() + _VIEW_S
    while not await look() and time.monotonic() < end:  # noqa: ASYNC110 - Redis has no event for it
        await asyncio.sleep(_LOOK_S)


def back(form: FormData) -> Response:
    """Return the way to the page that the form was on, with its filters."""
    return RedirectResponse(back_to(str(form.get("next", ""))), 303, HEADERS)
