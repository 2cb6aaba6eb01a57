"""The transport of `Endocrine` and `SyncEndocrine` that needs no gateway: a loop on a thread, for both."""

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from endocrine_client.kafka import seals
from endocrine_client.transport import Transport

if TYPE_CHECKING:
    from endocrine_client.kafka.door import Door  # aiokafka is imported where it is used

_STOP_S = 10.0
_BOOTSTRAP, _PREFIX = "127.0.0.1:9092", "endocrine."


class DoorTransport(Transport):
    """A transport over a `Door`. make: makes it, when it is first needed. name: names the spool of its captures.

    Serves one client: once that has ended, nothing more is sent.
    """

    def __init__(self, name: str, make: "Callable[[], Door]") -> None:
        self.name = name
        self._make = make
        self._door: Door | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request within its timeout for reading."""
        request.read()
        future = self._submitted(request)
        within_s = request.extensions.get("timeout", {}).get("read")
        try:
            return future.result(within_s)
        except concurrent.futures.TimeoutError:
            raise httpx.ReadTimeout(f"no answer within {within_s:g} s", request=request) from None
        finally:
            future.cancel()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request; the caller bounds it."""
        await request.aread()
        return await asyncio.wrap_future(self._submitted(request))

    def close(self) -> None:
        """Disconnect, and end the thread."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        with contextlib.suppress(concurrent.futures.TimeoutError):  # a broker that hangs; the thread is a daemon
            asyncio.run_coroutine_threadsafe(self._stopped(), loop).result(_STOP_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_S)
        if not thread.is_alive():
            loop.close()

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    async def _stopped(self) -> None:
        if self._door is not None:
            await self._door.stop()

    def _submitted(self, request: httpx.Request) -> "concurrent.futures.Future[httpx.Response]":
        with self._lock:
            if self._closed:
                raise httpx.ConnectError("the transport is closed", request=request)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="endocrine-kafka", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(self._answered(request), self._loop)

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        from endocrine_client.kafka.door import Asked

        if self._door is None:
            self._door = self._make()
        wait = request.url.params.get("wait", "0")
        asked = Asked(
            request.method,
            request.url.path,
            request.content,
            request.headers.get("idempotency-key", ""),
            float(wait) if wait.isascii() and wait.isdigit() else 0.0,
        )
        reply = await self._door.answer(asked)
        return httpx.Response(reply.status, json=reply.value)


class KafkaTransport(DoorTransport):
    """Kafka in the gateway's place: `Endocrine(transport=KafkaTransport("127.0.0.1:9092"))`.

    bootstrap: servers; without it `ENDOCRINE_BOOTSTRAP`, else `127.0.0.1:9092`. prefix: of the topics; without it
    `ENDOCRINE_PREFIX`, else `endocrine.`. client: who opens turns, and gives commands. seal_key_file: the deployment's
    seal keys; with them only sealed records count. Who can read that file can seal, too: give it to nobody who may not
    decide. advice_s: seconds that a turn's parameters are waited for; ack_s: that Kafka must take a record in.
    options: of aiokafka's clients (`security_protocol`, `ssl_context`, `sasl_mechanism`, ...).

    Raises ImportError without the extra, OSError, ValueError where the seal keys cannot be read.
    """

    def __init__(
        self,
        bootstrap: str | None = None,
        *,
        prefix: str | None = None,
        client: str = "python",
        seal_key_file: Path | str | None = None,
        advice_s: float = 2.0,
        ack_s: float = 5.0,
        **options: Any,
    ) -> None:
        if any(importlib.util.find_spec(needed) is None for needed in ("aiokafka", "rfc8785")):
            raise ImportError("the Kafka transport needs aiokafka: pip install 'endocrine-client[kafka]'")
        servers = bootstrap or os.environ.get("ENDOCRINE_BOOTSTRAP") or _BOOTSTRAP
        prefix = os.environ.get("ENDOCRINE_PREFIX", _PREFIX) if prefix is None else prefix
        seal = None if seal_key_file is None else seals.read_keys(Path(seal_key_file), prefix).valid

        def make() -> "Door":
            from endocrine_client.kafka.broker import KafkaBroker
            from endocrine_client.kafka.door import Door

            broker = KafkaBroker(servers, prefix, ack_s, options)
            return Door(broker, client=client, seal=seal, advice_s=advice_s, ack_s=ack_s)

        super().__init__(f"kafka {servers} {prefix}", make)
