"""GET /v1/events: derived records as server-sent events."""

from collections.abc import AsyncGenerator

import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import IDENTITY_SCHEMA, Caller, checked_identity
from endocrine.pipeline.gateway.events import TOPICS, Listener, parse_position
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.row import Query, Row, checked_query
from endocrine.pipeline.gateway.sse import event, stream
from endocrine.pipeline.gateway.state import Gateway

_log = structlog.get_logger("endocrine.gateway")


async def events(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/events."""
    query = checked_query(request, "identity", "topic")
    identity = None if "identity" not in query else checked_identity(gateway.names, query["identity"])
    if caller.identity_from == "fixed" and not caller.owns(identity):
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only")
    topics = frozenset(query["topic"].split(",")) if "topic" in query else frozenset(TOPICS)
    if not topics <= frozenset(TOPICS):
        raise Problem("invalid", f"query topic: expected some of {', '.join(TOPICS)}", field="topic")
    last = request.headers.get("last-event-id")
    try:
        position = None if last is None else parse_position(last)
    except ValueError:
        raise Problem("invalid", "header last-event-id: expected topic/partition/offset") from None
    if gateway.events.count >= gateway.limits.streams:
        raise Problem("overloaded", f"{gateway.events.count} streams are open", headers={"retry-after": "5"})
    listener = Listener(topics, identity, "content" in caller.scopes)
    return stream(_guarded(gateway.events.listen(listener, position)))


async def _guarded(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The pieces; a broker that is away ends the stream with an error event, and the client comes again."""
    yield b": open\n\n"
    try:
        async for piece in pieces:
            yield piece
    except (KafkaError, TimeoutError) as error:
        _log.warning("a stream of events ended", error=type(error).__name__)
        yield event("error", Problem("broker_away", "the broker gives no records").as_json())
    finally:
        await pieces.aclose()


_ONE = "|".join(TOPICS)
_TOPICS_SCHEMA = {"type": "string", "pattern": f"^({_ONE})(,({_ONE}))*$"}
ROUTES = [
    Row(
        "GET",
        "/v1/events",
        "read",
        events,
        "Derived records as they come, as server-sent events; resumable by `Last-Event-ID`.",
        answers={200: "text/event-stream"},
        problems=("identity_not_allowed", "overloaded"),
        query=(
            Query("identity", "Of this identity.", IDENTITY_SCHEMA),
            Query("topic", f"Topics, comma separated: {', '.join(TOPICS)}.", _TOPICS_SCHEMA),
        ),
    )
]
