"""The composition: parts made and connected, rows as routes, errors as problems."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.data.context import Passages
from endocrine.pipeline.gateway.awaiting import Awaiting
from endocrine.pipeline.gateway.callers import Doorkeeper
from endocrine.pipeline.gateway.events import Broadcast
from endocrine.pipeline.gateway.guard import Guard
from endocrine.pipeline.gateway.idempotency import Idempotency
from endocrine.pipeline.gateway.keys import FILE, KeyRing
from endocrine.pipeline.gateway.lookback import Lookback
from endocrine.pipeline.gateway.openapi import Described, document
from endocrine.pipeline.gateway.problems import Problem, Render, as_problem
from endocrine.pipeline.gateway.rates import Rates
from endocrine.pipeline.gateway.routes import (
    approvals,
    bonds,
    calls,
    captures,
    commands,
    conflicts,
    context,
    health,
    interactions,
    links,
    memories,
    reads,
    streams,
    trusted,
    turns,
)
from endocrine.pipeline.gateway.routes import names as name_routes
from endocrine.pipeline.gateway.row import Row
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.gateway.shared import Shared
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.table import Direct, routes_of
from endocrine.pipeline.kafka.name_reader import NameFollower
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.version import code_version
from endocrine.pipeline.views.redis.store import connect

ROWS: Sequence[Row] = (
    *approvals.ROUTES,
    *turns.ROUTES,
    *calls.ROUTES,
    *captures.ROUTES,
    *commands.ROUTES,
    *conflicts.ROUTES,
    *context.ROUTES,
    *interactions.ROUTES,
    *memories.ROUTES,
    *bonds.ROUTES,
    *name_routes.ROUTES,
    *links.ROUTES,
    *reads.ROUTES,
    *trusted.ROUTES,
    *streams.ROUTES,
)
_log = structlog.get_logger("endocrine.gateway")


def key_file(settings: Settings, limits: GatewaySettings) -> Path:
    """Return the file of API keys."""
    return limits.key_file or settings.data_dir / FILE


@asynccontextmanager
async def connected(
    settings: Settings, limits: GatewaySettings, policy: Policy, seals: Seals, keys: KeyRing
) -> AsyncIterator[Gateway]:
    """Connect a gateway that reads at the ends of the derived topics and knows the registry of names.

    Raises KafkaError where no broker answers, NoSuchTopic where the registry's topic does not exist.
    """
    async with AsyncExitStack() as ending:
        redis = None
        if settings.redis_url is not None:
            redis = connect(settings)
            ending.push_async_callback(redis.aclose)
        shared = Shared(redis, settings.prefix)
        awaiting = Awaiting(settings, seals, most=limits.waiting, ack_s=limits.ack_s)
        await ending.enter_async_context(awaiting)
        names = NameTable()
        registry = await ending.enter_async_context(NameFollower(settings, seals, names))
        events = Broadcast(settings, seals, names)
        ending.push_async_callback(events.close)
        gateway = Gateway(
            settings,
            limits,
            awaiting,
            Lookback(settings, seals),
            Doorkeeper(keys, Rates(shared), names),
            Idempotency(shared),
            redis,
            events,
            names,
            registry,
            policy,
            code_version(settings.build),
            os.environ.get("ENDOCRINE_BUILT"),
            Passages(limits.corpus),
        )

        async def adopt(policy: Policy) -> None:
            gateway.policy = policy

        gateway.follower = await ending.enter_async_context(PolicyFollower(settings, seals, policy, adopt))
        yield gateway


def application(
    gateway: Gateway,
    more: Sequence[BaseRoute] = (),
    render: Render = as_problem,
    described: Sequence[Described] = (),
) -> Guard:
    """Return the ASGI application. more: routes of other doors. described: what the OpenAPI document says of those.

    render: how problems are answered, theirs too.
    """
    categories = gateway.policy.document.trusted_state.categories
    made = partial(document, ROWS, gateway.version, described, categories=categories)
    routes = [*routes_of(ROWS, gateway), *health.routes(gateway, made), *more]
    handlers = {
        Problem: partial(_problem, render),
        HTTPException: partial(_http, render),
        Exception: partial(_fault, render),
    }
    app = Starlette(routes=[Direct(routes), *routes], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, gateway.limits.header_bytes, gateway.metrics, render)


async def _problem(render: Render, request: Request, error: Problem) -> Response:
    return render(error, request.state.request_id, request.url.path)


async def _http(render: Render, request: Request, error: HTTPException) -> Response:
    kind = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    detail = {"not_found": "no such path; /openapi.json names those there are"}.get(kind, str(error.detail))
    problem = Problem(kind, detail, headers=dict(error.headers or {}))
    return render(problem, request.state.request_id, request.url.path)


async def _fault(render: Render, request: Request, error: Exception) -> Response:
    if isinstance(error, asyncio.CancelledError):
        raise error
    _log.error("fault", request_id=request.state.request_id, error=type(error).__name__, exc_info=error)
    problem = Problem("internal_error", "a fault of ours; see the log")
    return render(problem, request.state.request_id, request.url.path)
