"""Bytes of images onto the topic `images`, before the turn that names them: digest, size and place are what it says."""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from endocrine.pipeline.gateway.openai.port import Image
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.state import Gateway
from endocrine.schemas.images import MAX_PIECES

Json = dict[str, Any]
_ROOM = 4096
"""Bytes of a record beside the data: an identity of 256 characters and what names the image."""
_MOST = 2_000
"""Turns under idempotency keys whose places are known, for their retries."""


class ImageWriter:
    """Writes images, each once per turn."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: OrderedDict[tuple[str, str], list[Json]] = OrderedDict()

    async def given(
        self, audit_id: str, identity: str, images: Sequence[Image], ts: float, *, keyed: bool
    ) -> list[Json]:
        """Write the bytes; return the images as `interactions.opened` has them. keyed: whether a retry may come, which
        is then the same record, and writes nothing.

        Raises Refused beyond the pieces of one image, and NotRecorded.
        """
        if (known := self._known.get((identity, audit_id))) is not None:
            return known
        places: dict[str, Json] = {}
        for one in images:
            if one.digest not in places:
                places[one.digest] = await self._write(identity, one, ts)
        found = [_given(one) | places[one.digest] for one in images]
        if keyed:
            self._known[identity, audit_id] = found
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return found

    async def _write(self, identity: str, image: Image, ts: float) -> Json:
        """Write one image; return where it is."""
        step = max(_ROOM, self._gateway.settings.max_record_bytes - _ROOM) // 4 * 3
        pieces = [image.data[at : at + step] for at in range(0, image.size, step)]
        if len(pieces) > MAX_PIECES:
            most = f"'{image.place}': {image.size} bytes, expected at most {MAX_PIECES * step}."
            raise Refused("request_too_large", most, param=image.place)
        about = {"identity": identity, "digest": image.digest, "pieces": len(pieces), "ts": ts}
        sending = [
            self._gateway.awaiting.produce(
                "images", about | {"piece": number, "data": base64.b64encode(piece).decode()}, sealed=True
            )
            for number, piece in enumerate(pieces)
        ]
        written = await asyncio.gather(*sending)
        return {"partition": written[0].partition, "offsets": [one.offset for one in written]}


def _given(image: Image) -> Json:
    found: Json = {"message": image.message, "start": image.start, "digest": image.digest, "size": image.size}
    found |= {"source": image.source, "media_type": image.media_type, "detail": image.detail}
    return {name: value for name, value in found.items() if value is not None}
