"""What waits for a person: tool calls and held turns, each until its deadline; approved or denied as a command."""

import time
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.pipeline.console import actions, timeline, whose
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.console.templates import pretty
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.places import RecordPosition, records_at
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import identity_of, keys_of, redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.views.redis import waiting
from endocrine.pipeline.views.redis.waiting import Waiting

Json = dict[str, Any]
KINDS = {"call": "tool call", "turn": "held turn"}
PAGE = 50
MOST_LOOKED_AT = 1000
"""Entries of the list that are looked at where only some are meant."""
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
    some = kind is not None or identity is not None
    found, total = await waiting.approvals(redis_of(gateway), keys_of(gateway), 0, MOST_LOOKED_AT if some else PAGE + 9)
    open_ones = [one for one in found if _still_open(one)]
    meant = [one for one in open_ones if kind in (None, one.kind) and identity in (None, one.identity)]
    page = meant[:PAGE]
    texts, away = await _texts(console, visitor, page)
    now = time.time()
    items = [_shown(one, texts.get(place), now) for place, one in enumerate(page)]
    return console.page(
        request, visitor, "approvals.html", title="Approvals", items=items, kinds=KINDS, total=total,
        more=len(meant) > PAGE or (not some and total > len(found)), away=away,
    )  # fmt: skip


def _still_open(one: Waiting) -> bool:
    """Whether an answer would have something to answer, as far as the read models know."""
    if "closed" in one.parts:
        return False
    if one.kind == "turn":
        return bool((one.parts.get("modulation") or {"refusal": "held"})["refusal"] == "held")
    return bool((one.call or {"decision": "pending"})["decision"] == "pending")


async def _texts(console: Console, visitor: Visitor, page: list[Waiting]) -> tuple[dict[int, str | None], bool]:
    """What each is about, by its number on the page: arguments or a prompt, for visitors with the scope `content`.

    And whether they could not be read.
    """
    if not visitor.may("content"):
        return {}, False
    places: dict[int, RecordPosition] = {}
    for number, one in enumerate(page):
        at = one.call.get("call_at") if one.kind == "call" else (one.parts.get("opened") or {}).get("at")
        if at is not None:
            places[number] = ("tool-calls" if one.kind == "call" else "interactions", *at)
    unplaced = [one for number, one in enumerate(page) if one.kind == "call" and number not in places]
    try:
        raws = await records_at(console.gateway.settings, places.values())
        calls = await _calls(console, unplaced)
    except (KafkaError, TimeoutError):
        return {}, True
    found: dict[int, str | None] = {}
    for number, place in places.items():
        try:
            value = orjson.loads(raws[place].value)
        except (KeyError, TypeError, orjson.JSONDecodeError):
            continue
        if value.get("audit_id") == page[number].audit_id and value.get("identity") == page[number].identity:
            found[number] = _arguments(console, page[number], value) if page[number].kind == "call" else value["prompt"]
    for number, one in enumerate(page):
        given = [_arguments(console, one, call) for call in calls.get(one.member, ())]
        found.setdefault(number, next((text for text in given if text is not None), None))
    return found, False


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


def _arguments(console: Console, one: Waiting, call: Json) -> str | None:
    """The arguments that were decided on, and so those that would run; None where the record has others."""
    arguments, digest = judged_arguments(call["arguments"], console.gateway.policy.document.gating)
    return pretty(arguments) if digest is not None and digest == one.call["arguments_digest"] else None


def _shown(one: Waiting, text: str | None, now: float) -> Json:
    modulation = one.parts.get("modulation") or {}
    used = [each for each in modulation.get("signals", ()) if each["fate"] == "used"]
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
        "since": one.call.get("ts") if one.kind == "call" else modulation.get("ts"),
        "signals": [(each["name"], each["level"]) for each in used],
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
