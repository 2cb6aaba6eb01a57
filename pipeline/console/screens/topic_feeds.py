"""Records of a topic as a file, and as they arrive."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.browsing.export import FORMS, exported
from endocrine.pipeline.console.browsing.filters import filter_of
from endocrine.pipeline.console.browsing.scan import Bounds, scan
from endocrine.pipeline.console.browsing.shown import shown_record
from endocrine.pipeline.console.browsing.tail import MOST, tail
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.topics import address_of, wanted
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.console.templates import rendered
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.sse import event, stream
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic

EXPORTED = Bounds(records=10_000, looked_at=100_000, bytes=16 << 20)
_following = 0


async def export(console: Console, request: Request, visitor: Visitor) -> Response:
    """Return what the filters of a topic's page leave, within EXPORTED; the newest, or from an offset or time on."""
    form = request.path_params["form"]
    if form not in FORMS:
        raise Problem("not_found", f"no such form; expected {' or '.join(FORMS)}")
    browse = replace(wanted(visitor, request.path_params["topic"], dict(request.query_params)), before=None, after=None)
    async with filter_of(visitor.caller, browse) as meant:
        found = await scan(console.gateway.settings, browse, meant.kept, EXPORTED)
    more = found.older if browse.backward else found.newer
    side = "newest" if browse.backward else "first"
    cut = f"the {side} {len(found.records)} records of {found.looked_at} looked at; there is more" if more else None
    records = [shown_record(visitor.caller, browse.topic, raw) for raw in found.records]
    name = f"{browse.topic}{f'-{side}-{len(records)}' if cut else ''}.{form}"
    headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    return Response(exported(form, records, cut), 200, headers, FORMS[form])


async def follow(console: Console, request: Request, visitor: Visitor) -> Response:
    """Send records as they arrive, those that the filters leave."""
    browse = replace(wanted(visitor, request.path_params["topic"], dict(request.query_params)), before=None, after=None)
    if _following >= MOST:
        raise Problem("overloaded", f"{MOST} pages follow topics already", headers={"retry-after": "60"})
    links = Links(request.url.path, [])

    def shown(raw: Any) -> str:
        record = shown_record(visitor.caller, browse.topic, raw)
        return rendered("record.html", one=record, address=address_of(console, record), links=links).decode()

    async def pieces() -> AsyncGenerator[bytes, None]:
        global _following
        _following += 1
        try:
            async with filter_of(visitor.caller, browse) as meant:
                async for piece in tail(console.gateway.settings, browse, meant, shown):
                    yield piece
        except Problem as problem:
            yield event("end", {"reason": problem.detail})
        except (KafkaError, NoSuchTopic, TimeoutError, OSError) as error:
            yield event("end", {"reason": f"the broker: {type(error).__name__}"})
        finally:
            _following -= 1

    return stream(pieces())


PAGES = (
    Page("/topics/{topic}/records.{form}", export),
    Page("/topics/{topic}/tail", follow),
)
