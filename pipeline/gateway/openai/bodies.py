"""Bodies of requests, read within their bounds. One with images may be larger, and there are only so many of those."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from endocrine.pipeline.gateway.openai.refusals import Refused

_IMAGE = re.compile(rb"data:", re.IGNORECASE)
"""What the URL of an image in a body begins with."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one request."""

    body_bytes: int = 1 << 20
    header_bytes: int = 32 << 10
    heartbeat_s: float = 10.0
    read_s: float = 10.0
    """Seconds until the body must have come."""
    image_bytes: int = 4 << 20
    """Bytes of one image."""
    images_bytes: int = 8 << 20
    """Bytes of all images of a request. Not counted as bytes of the body."""
    large_bodies: int = 16
    """Bodies of more than `body_bytes` at once."""

    @property
    def most_bytes(self) -> int:
        """Bytes of a body with images, which are base64 there."""
        return self.body_bytes + -(-self.images_bytes // 3) * 4


class Bodies:
    """Reads bodies. At most `large_bodies` of more than `body_bytes` are held at once: that bounds the memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._large = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body of a request for the time of a block. Raises Refused."""
        if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            message = "The body has a `content-encoding`: send it as it is."
            raise Refused("unsupported_parameter", message, param="content-encoding")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self._limits.most_bytes):
            raise body_too_large(self._limits)
        usual, found, large = self._limits.body_bytes, bytearray(), False
        try:
            try:
                async with asyncio.timeout(self._limits.read_s):
                    async for piece in request.stream():
                        found += piece
                        if len(found) > self._limits.most_bytes:
                            raise body_too_large(self._limits)
                        if len(found) > usual and not large:
                            large = self._enter()
            except TimeoutError:
                raise Refused("request_timeout") from None
            if large and not _IMAGE.search(found):
                raise body_too_large(self._limits)  # it is not read as JSON for nothing
            yield bytes(found)
        finally:
            self._large -= large

    def _enter(self) -> bool:
        if self._large >= self._limits.large_bodies:
            raise Refused("overloaded", "Too many large requests at once; try again later.", retry_after_ms=1000)
        self._large += 1
        return True


def body_too_large(limits: Limits) -> Refused:
    """Return the refusal of a body that has too many bytes beside its images."""
    return Refused("request_too_large", f"The body is larger than {limits.body_bytes} bytes, images not counted.")
