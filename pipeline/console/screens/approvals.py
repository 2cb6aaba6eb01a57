"""What waits for a person: tool calls and held turns, each until its deadline; approved or denied as a command."""

import time
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console import actions, timeline, whose
from endocrine.pipeline.console.paging import listed
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.console.templates import pretty
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.pending import KINDS, arguments_of, fits, place_of, since, subjects_of, used_signals
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import identity_of, keys_of, redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.views.redis import waiting
from endocrine.pipeline.views.redis.waiting import Waiting

Json = dict[str, Any]
PAGE = 50
MOST_SEARCHED = 5000
"""Records that are looked at for calls whose places are not known."""
_COMMANDS = {
    ("call", "approve"): "approve",
    ("call", "deny"): "deny",
    ("turn", "approve"): "approve_turn",
    ("turn", "deny"): "deny_turn",
}


async def approvals(console: Console, request: Request, visitor: Visitor) -> Response:
    """List what waits, the next deadline first."""
    query = {name: text for name, text in request.query_params.items() if text}
    gateway, kind = console.gateway, one_of(query, "kind", KINDS)
    identity = identity_of(gateway, visitor.caller, query)
    redis, named = redis_of(gateway), keys_of(gateway)

    async def meant(members: Sequence[bytes]) -> list[Waiting | None]:
        return [fits(one, kind, identity) for one in await waiting.approvals(redis, named, members)]

    page = await listed(redis, named.approvals(), meant, query, PAGE, ascending=True)
    texts, away = await _texts(console, visitor, page.items)
    now = time.time()
    items = [_shown(one, text, now) for one, text in zip(page.items, texts, strict=True)]
    return console.page(
        request, visitor, "approvals.html", title="Approvals", page=page, items=items, kinds=KINDS,
        total=await waiting.count(redis, named), away=away,
    )  # fmt: skip


async def _texts(console: Console, visitor: Visitor, shown: list[Waiting]) -> tuple[list[str | None], bool]:
    """What each is about, for visitors with the scope `content`: arguments or a prompt. And whether they could not be
    read."""
    unknown: list[str | None] = [None] * len(shown)
    if not visitor.may("content"):
        return unknown, False
    try:
        about = await subjects_of(console.gateway.settings, console.gateway.policy.of, shown)
        calls = await _calls(console, [one for one in shown if one.kind == "call" and place_of(one) is None])
    except (KafkaError, TimeoutError):
        return unknown, True
    for number, one in enumerate(shown):
        for call in calls.get(one.member, ()):
            if about[number] is None:
                about[number] = arguments_of(console.gateway.policy.of, one, call)
    return [one if one is None or isinstance(one, str) else pretty(one) for one in about], False


async def _calls(console: Console, unplaced: list[Waiting]) -> dict[bytes, list[Json]]:
    """The calls of which the read models have no place, since something later led to the decision: found by their ids.

    A call waits for minutes, so it is among the newest of its identity.
    """
    wanted = {(one.identity, one.audit_id, one.call_id): one.member for one in unplaced}
    if not wanted:
        return {}
    takes = whose.accepted("tool-calls", console.gateway.settings, None, lambda value: _named(value) in wanted)
    meant = timeline.Keys("tool-calls", frozenset(one.identity for one in unplaced), takes)
    page = await timeline.newest(console.gateway.settings, [meant], 2 * len(wanted), most=MOST_SEARCHED)
    calls: dict[bytes, list[Json]] = {}
    for _, raw in page.records:
        value = json_object(raw.value) or {}
        calls.setdefault(wanted[_named(value)], []).append(value)
    return calls


def _named(call: Json) -> tuple[str, str, str]:
    return call["identity"], call["audit_id"], call["call_id"]


def _shown(one: Waiting, text: str | None, now: float) -> Json:
    return {
        "kind": one.kind,
        "named": actions.packed(*orjson.loads(one.member)),
        "identity": one.identity,
        "audit_id": one.audit_id,
        "call_id": one.call_id,
        "expires": one.expires,
        "left": max(0, int(one.expires - now)),
        "function": one.call.get("function"),
        "tool": one.call.get("tool"),
        "rule": one.call.get("rule"),
        "since": since(one),
        "signals": used_signals(one),
        "text": text,
    }


async def answer(console: Console, request: Request, visitor: Visitor) -> Response:
    """Record an answer, approve or deny, as a command that says by whom and why."""
    form = await form_of(request)
    kind, identity, audit_id, *call = actions.unpacked(form, "named", 3, 4)
    asked = str(form.get("answer", ""))
    if (kind, asked) not in _COMMANDS or (kind == "call") != bool(call):
        raise Problem("invalid", "the form: expected approve or deny, of a call or a turn", field="answer")
    gateway = console.gateway
    reason = actions.text_of(form, "reason", actions.MOST_REASON, required=asked == "deny")
    which = {"call_id": call[0]} if call else {"audit_id": audit_id}
    given = {"kind": _COMMANDS[kind, asked], **which, "reason": reason}
    await actions.recorded(console, request, visitor, checked_identity(gateway.names, identity), given)

    async def gone() -> bool:
        member = waiting.member_of(kind, identity, audit_id, *call)
        return not await waiting.is_waiting(redis_of(gateway), keys_of(gateway), member)

    await actions.shown(gone)
    return actions.back(form)


PAGES = (
    Page("/approvals", approvals, menu="Approvals"),
    Page("/approvals", answer, "operate", post=True),
)
