"""What goes on now: turns by mode over time, the newest incidents, tools, who follows."""

import time
from collections import Counter
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of
from endocrine.pipeline.gateway.row import one_of
from endocrine.pipeline.views.redis import views

SPANS = {"1h": (3600, 60), "24h": (86_400, 900), "7d": (604_800, 7200)}
"""Seconds that are shown, and seconds of one step."""
MOST_TURNS = 2000
NEWEST = 8


async def overview(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show the last hour, day or week."""
    span = one_of(dict(request.query_params), "span", SPANS) or "1h"
    length, step = SPANS[span]
    redis, named = redis_of(console.gateway), keys_of(console.gateway)
    end = (int(time.time()) // step + 1) * step
    begin = end - length
    turns, cut = await views.recent_turns(redis, named, begin, MOST_TURNS)
    series = _series(turns, begin, end, step)
    incidents = [orjson.loads(one) for one in (await views.page(redis, named.incidents(), NEWEST)).members]
    recent = (await views.page(redis, named.turns(), NEWEST)).members
    modes = Counter(str(one["mode"]) for one in turns)
    return console.page(
        request,
        visitor,
        "overview.html",
        title="Overview",
        span=span,
        spans=list(SPANS),
        total=len(turns),
        cut=cut,
        modes_seen=modes.most_common(),
        chart=orjson.dumps(series).decode(),
        incidents=incidents,
        turns=[shown_turn(one) for one in await views.turns(redis, named, recent)],
        tools=await views.analytics(redis, named),
        following=console.gateway.awaiting.following,
        policy=console.gateway.policy.digest,
    )


def _series(turns: list[dict[str, Any]], begin: int, end: int, step: int) -> dict[str, Any]:
    """Turns counted by step and mode, as the chart takes them."""
    count = (end - begin) // step
    modes = sorted({str(one["mode"]) for one in turns})
    found = {mode: [0] * count for mode in modes}
    for one in turns:
        place = int((one["at"] - begin) // step)
        if 0 <= place < count:
            found[str(one["mode"])][place] += 1
    times = [begin + step * number for number in range(count)]
    return {"times": times, "series": [{"label": mode, "values": found[mode]} for mode in modes]}


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
