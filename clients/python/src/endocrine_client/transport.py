"""What may stand in the place of HTTP."""

import httpx


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers the client's requests as a gateway does, by other means."""

    name: str
    """Names the spool, as the gateway's address does: records that wait in it are sent by the same means."""
