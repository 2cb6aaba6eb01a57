"""The gateway as a process: listen, serve until SIGINT or SIGTERM, then finish what is under way."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from aiokafka.errors import KafkaError
from starlette.routing import BaseRoute

from endocrine.pipeline.gateway.app import connected, key_file
from endocrine.pipeline.gateway.callers import is_loopback
from endocrine.pipeline.gateway.keys import KeyRing, KeysError
from endocrine.pipeline.gateway.openai_port.mount import whole_application
from endocrine.pipeline.gateway.openai_port.refusing import render
from endocrine.pipeline.gateway.protocol import bounded
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.kafka.admin import ConnectionRefused, TopicsError, ensure_topics
from endocrine.pipeline.kafka.clients import require_content_keys
from endocrine.pipeline.kafka.connection import refusal
from endocrine.pipeline.process import stopping, tracing
from endocrine.pipeline.process.event_loop import run
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.seal_keys import KeyFileError, load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.tracing import TracesUnavailable

UNUSABLE = 2
KEEP_ALIVE_S = 75
"""Seconds that an idle connection stays open: longer than clients and load balancers keep theirs (60 s and less). Who
closes first has the say; a client that sends on a connection that is just being closed here would see an error."""
_DRAIN_S = 5
_BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `endocrine.pipeline.process.stopping` has the signals."""
        yield


def main(
    settings: Settings,
    limits: GatewaySettings,
    on_ready: Callable[[str], None],
    more: Callable[[Gateway], Sequence[BaseRoute]] = lambda _: (),
) -> int:
    """Serve until asked to stop. on_ready: called with the URL. more: makes further routes.

    Exit codes: 0 asked to stop, 1 failed, 2 unusable.
    """
    try:
        keys = KeyRing(key_file(settings, limits))
        policy = load_policy(settings.policy, os.environ)
        seals = load_seals(settings)
        tracing.start(settings, "gateway")
    except (KeysError, PolicyFileError, KeyFileError, TracesUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    if not keys.configured and not is_loopback(limits.host):
        print(
            f"error: no API key is configured, so the gateway listens on loopback only, not on {limits.host};"
            " make a key: `endocrine keys create NAME --scopes capture,read`",
            file=sys.stderr,
        )
        return UNUSABLE
    raise_open_files()
    try:
        listener = _listener(limits.host, limits.port)
    except OSError as error:
        print(f"error: {limits.host}:{limits.port} cannot be listened on: {error.strerror}", file=sys.stderr)
        return 1

    async def serve() -> None:
        stop = asyncio.Event()
        with stopping.asked(stop.set):
            asking = asyncio.create_task(stop.wait())
            starting = asyncio.create_task(ensure_topics(settings, []))
            await asyncio.wait({asking, starting}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                starting.cancel()
                return
            starting.result()
            await require_content_keys(settings)
            async with connected(settings, limits, policy, seals, keys) as gateway:
                config = uvicorn.Config(
                    whole_application(gateway, more(gateway)),
                    http=bounded(limits.header_bytes, limits.read_s, render),
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    proxy_headers=False,
                    server_header=False,
                    backlog=_BACKLOG,
                    timeout_keep_alive=KEEP_ALIVE_S,
                    timeout_graceful_shutdown=_DRAIN_S,
                )
                server = Server(config)
                listener.listen(_BACKLOG)  # before anybody hears of it: uvicorn comes to it in a later turn of the loop
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                on_ready(_url(listener))
                await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                await gateway.events.close()
                await serving

    try:
        run(serve())
    except KeyFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    except (KafkaError, TopicsError, OSError) as error:
        print(f"error: {refusal(settings, error) or error or type(error).__name__}", file=sys.stderr)
        return 2 if isinstance(error, ConnectionRefused) else 1
    finally:
        listener.close()
    return 0


def raise_open_files() -> None:
    """Let this process open as many files as it may: a stream that is open is one, and shells allow 1024."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
