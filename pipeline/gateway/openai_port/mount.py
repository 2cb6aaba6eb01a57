"""The gateway with the OpenAI-compatible endpoint beside its own paths."""

import time
import uuid
from collections.abc import Sequence

from starlette.routing import BaseRoute

from endocrine.pipeline.gateway.app import application
from endocrine.pipeline.gateway.guard import Guard
from endocrine.pipeline.gateway.openai.bodies import Limits
from endocrine.pipeline.gateway.openai.described import described
from endocrine.pipeline.gateway.openai.endpoint import Endpoint
from endocrine.pipeline.gateway.openai_port.port import GatewayPort
from endocrine.pipeline.gateway.openai_port.refusing import render
from endocrine.pipeline.gateway.state import Gateway


def whole_application(gateway: Gateway, more: Sequence[BaseRoute] = ()) -> Guard:
    """Return the ASGI application of every door that serves HTTP. more: routes of others, behind all of ours."""
    bounds = gateway.limits
    limits = Limits(
        body_bytes=bounds.body_bytes,
        header_bytes=bounds.header_bytes,
        read_s=bounds.read_s,
        image_bytes=bounds.image_bytes,
        images_bytes=bounds.images_bytes,
        large_bodies=bounds.large_bodies,
    )
    endpoint = Endpoint(GatewayPort(gateway), time.time, lambda: uuid.uuid4().hex, limits)
    return application(gateway, [*endpoint.routes(), *more], render, [described()])
