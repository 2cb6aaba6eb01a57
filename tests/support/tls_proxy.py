"""TLS in front of a server of this machine that has none: what a client sees is TLS, and its certificate is asked for
where one is wanted."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from secured_broker import Authority, Pair


@contextlib.asynccontextmanager
async def tls_in_front(port: int, ours: Pair, clients: Authority | None = None) -> AsyncIterator[int]:
    """Yield the port, on loopback, of TLS before the server at another port.

    clients: who must have signed the certificate of a client; None: none is asked for. Port 0 behind it: whoever
    connects is let in, and the connection is closed.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours.certificate, ours.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if port:
                behind, to = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_pass(reader, to), _pass(behind, writer))
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()
