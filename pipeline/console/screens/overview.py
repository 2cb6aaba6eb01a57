"""What goes on now: turns by mode over time, decisions, incidents, lag, workers, breakers, spend, who follows."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.conversation.rules import BudgetRules
from endocrine.pipeline.console.operations import PROJECTION, SPANS
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.views import RecentTurn
from endocrine.pipeline.views.status.presence import PARTS, missing_parts
from endocrine.pipeline.views.status.report import Member, role_of

NEWEST = 8
SPENDERS = 8
"""Identities that are listed with what they spent."""


async def overview(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show the last hour, day or week."""
    span = one_of(dict(request.query_params), "span", SPANS) or "1h"
    length, step = SPANS[span]
    redis, named, ops = redis_of(console.gateway), keys_of(console.gateway), console.operations
    known, decided, lag, members, breakers, connectors = await asyncio.gather(
        ops.turns(span), ops.decided(span), ops.lag.get(), ops.members.get(), ops.breakers.get(), ops.connectors.get()
    )
    if known.value is None:
        raise Problem("views_away", f"Redis: {known.failed or 'no answer yet'}", headers={"retry-after": "2"})
    spent = await views.spend(redis, named, length, time.time(), SPENDERS)
    end = (int(time.time()) // step + 1) * step
    turns = [one for one in known.value.turns if one.at >= end - length]
    incidents = [orjson.loads(one) for one in (await views.page(redis, named.incidents(), NEWEST)).members]
    recent = (await views.page(redis, named.turns(), NEWEST)).members
    group = console.gateway.settings.group
    budget = console.gateway.policy.document.budget
    return console.page(
        request,
        visitor,
        "overview.html",
        title="Overview",
        span=span,
        spans=list(SPANS),
        total=len(turns),
        cut=known.value.cut,
        modes_seen=Counter(str(one.mode) for one in turns).most_common(),
        chart=orjson.dumps(per_minute(turns, end - length, end, step)).decode(),
        incidents=incidents,
        incident_count=await redis.zcount(named.incidents(), int((time.time() - length) * 1000), "+inf"),
        turns=[shown_turn(one) for one in await views.turns(redis, named, recent)],
        tools=await views.analytics(redis, named),
        following=console.gateway.awaiting.following,
        policy=console.gateway.policy.digest,
        decided=decided,
        lag=lag,
        members=members,
        workers=workers_of(group, members.value or {}),
        missing=missing_parts(group, {name: len(found) for name, found in (members.value or {}).items()}),
        breakers=breakers,
        connectors=connectors,
        open_s=console.gateway.policy.document.gating.circuit.open_s,
        spent=spent,
        spenders=spenders(spent.spenders, allowed(budget, length)),
        budget=budget,
        allowed=allowed(budget, length),
    )


def per_minute(turns: Sequence[RecentTurn], begin: int, end: int, step: int) -> dict[str, Any]:
    """Return turns a minute by step and mode, as the chart takes them. begin, end, step: whole seconds."""
    count = (end - begin) // step
    found = {mode: [0] * count for mode in sorted({str(one.mode) for one in turns})}
    for one in turns:
        place = int((one.at - begin) // step)
        if 0 <= place < count:
            found[str(one.mode)][place] += 1
    times = [begin + step * number for number in range(count)]
    rates = {mode: [round(number * 60 / step, 2) for number in numbers] for mode, numbers in found.items()}
    return {"times": times, "series": [{"label": mode, "values": rates[mode]} for mode in rates]}


def allowed(budget: BudgetRules, span_s: int) -> int:
    """Return the tokens that the budget of an identity allows in a span of time: of one window at least."""
    return round(budget.limit * max(1.0, span_s / budget.window_s))


def spenders(spent: Sequence[tuple[str, int]], limit: int) -> list[dict[str, Any]]:
    """Return who spent how much, each with its share of a limit in percent."""
    return [
        {"identity": identity, "tokens": tokens, "share": round(100 * tokens / limit, 1)} for identity, tokens in spent
    ]


def workers_of(group: str, members: dict[str, list[Member]]) -> list[dict[str, Any]]:
    """Return the processes of a deployment, each with what it does and the partitions that it has."""
    parts = {group + part.suffix: part.name for part in PARTS} | {group + PROJECTION: "projection"}
    return [
        {
            "name": member.name,
            "host": member.host,
            "part": parts.get(name, "worker"),
            "role": role_of(group, name) if parts.get(name, "worker") == "worker" else "–",
            "partitions": ", ".join(map(str, member.partitions)) or "none",
        }
        for name, found in sorted(members.items())
        for member in found
    ]


def shown_turn(parts: dict[str, Any]) -> dict[str, Any]:
    """Return a turn of the read models as a line of a list."""
    opened, modulation = parts.get("opened") or {}, parts.get("modulation") or {}
    whose = opened or modulation or next(iter(parts.values()))
    audits = [part for name, part in parts.items() if name.startswith("audit/")]
    return {
        "audit_id": whose.get("audit_id", ""),
        "identity": whose["identity"],
        "ts": whose.get("ts"),
        "mode": modulation.get("mode"),
        "state": audits[0]["status"] if audits else ("closed" if "closed" in parts else "open"),
        "headline": audits[-1]["headline"] if audits else "",
    }


PAGES = (Page("/", overview, menu="Overview"),)
