"""One row of the gateway's table: method, path, scope, what it takes and gives; and the call that serves it."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.keys import Scope
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Overloaded
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic

_IDS = re.compile(r"\{(audit_id|identity|subject)\}")


class IdConvertor(PathConvertor):
    """An id in a path: it may hold slashes, and line ends, which Starlette's own `path` does not take."""

    regex = "(?s:.*)"


register_url_convertor("id", IdConvertor())
Handler = Callable[[Gateway, Request, Caller], Awaitable[Response]]


class Query(NamedTuple):
    """One parameter of a query."""

    name: str
    about: str
    schema: Mapping[str, Any] = {"type": "string"}
    """JSON Schema of what is accepted, as the document says it; the handler checks it."""
    required: bool = False


def whole_number(least: int, most: int) -> dict[str, Any]:
    """Return the schema of what `number_of` accepts."""
    return {"type": "integer", "minimum": least, "maximum": most}


MOST_WAIT_S = 30
WAIT = Query("wait", "Seconds to wait for the outcome.", whole_number(0, MOST_WAIT_S))
"""Of commands: how long their answer may wait for what becomes of them."""


@dataclass(frozen=True)
class Row:
    """One operation."""

    method: str
    path: str
    scope: Scope
    handler: Handler
    summary: str
    body: str | None = None
    """Schema of the request's body, by its name in `openapi.SCHEMAS`."""
    batch: bool = False
    """Whether the body may be a batch."""
    answers: dict[int, str] = field(default_factory=lambda: {200: ""})
    """Statuses that are no problem, with the schema of the body; empty: any JSON."""
    problems: tuple[str, ...] = ()
    """Kinds of problems beside those that every row may answer."""
    query: tuple[Query, ...] = ()

    def route(self, gateway: Gateway) -> Route:
        """Return the row as Starlette takes it."""

        async def serve(request: Request) -> Response:
            request.scope["route_template"] = self.path
            try:
                caller = await gateway.doorkeeper.caller(request, self.scope)
                caller.check_header(request)
                return await self.handler(gateway, request, caller)
            except Overloaded as error:
                raise Problem("overloaded", str(error), headers={"retry-after": "1"}) from None
            except (KafkaError, NoSuchTopic) as error:
                detail = f"the broker: {type(error).__name__}"
                raise Problem("broker_away", detail, headers={"retry-after": "2"}) from None
            except RedisError as error:
                detail = f"Redis: {type(error).__name__}"
                raise Problem("views_away", detail, headers={"retry-after": "2"}) from None
            except TimeoutError:
                raise Problem("broker_away", "no answer in time", headers={"retry-after": "2"}) from None

        return Route(_IDS.sub(r"{\1:id}", self.path), serve, methods=[self.method])


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(value), status, headers, "application/json")


def checked_query(request: Request, *known: str) -> dict[str, str]:
    """Return the query's parameters. Raises Problem, 422, for one that is not known or given twice."""
    found: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "expected none"
            raise Problem("invalid", f"a query parameter of {len(name)} characters is not known; {expected}")
        if name in found:
            raise Problem("invalid", f"query {name}: given twice", field=name)
        found[name] = text
    return found


def one_of(query: dict[str, str], name: str, known: Collection[str]) -> str | None:
    """Return a value of a closed list; None where the query names none. Raises Problem, 422."""
    text = query.get(name)
    if text is None or text in known:
        return text
    raise Problem("invalid", f"query {name}: expected one of {', '.join(known)}", field=name)


def number_of(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the query. Raises Problem, 422."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 18 and least <= int(text) <= most):
        raise Problem("invalid", f"query {name}: expected a whole number from {least} to {most}", field=name)
    return int(text)


def wait_of(query: dict[str, str]) -> int:
    """Return the seconds of `WAIT`; 0 where the query names none. Raises Problem, 422."""
    return number_of(query, WAIT.name, 0, 0, MOST_WAIT_S)
