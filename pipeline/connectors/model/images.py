"""Bytes of images, read at the places that a request names, and checked before they are sent.

A request's record comes from whoever may open turns. So a place counts only if what lies there is ours, of the same
identity, and makes the very digest that the request names: no turn is given somebody else's image.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.connectors.model.failures import Failed
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

TOPIC = "images"
_AT_ONCE = 4
"""Requests whose images are read at once; others wait, within their deadlines."""
_READ_S = 20.0
"""Seconds in which all images of a request must have been read, where its deadline is not sooner."""
_Json = Mapping[str, Any]


class ImageReader:
    """Reads the images of requests; one consumer each, closed when it ends."""

    def __init__(self, settings: Settings, seals: Seals) -> None:
        self._settings = settings
        self._seals = seals
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def urls(self, blocks: Sequence[_Json], identity: str, within_s: float) -> dict[str, str]:
        """Return by digest what a model is sent of images: a data URL, or the address that was given.

        blocks: of a request (`agents.conversation.images`). Raises Failed: `image_gone` where the bytes are not there
        any more, `image_changed` where they are others, `image_unread` where no broker gives them in time.
        """
        within_s = min(within_s, _READ_S)
        try:
            async with asyncio.timeout(within_s), self._room:
                return await self._read(blocks, identity)
        except TimeoutError:
            raise Failed(
                "image_unread", f"the images were not read within {within_s:.1f} s", retry=False, provider=False
            ) from None
        except KafkaError as error:
            why = f"the images could not be read: {type(error).__name__}"
            raise Failed("image_unread", why, retry=False, provider=False) from None

    async def _read(self, blocks: Sequence[_Json], identity: str) -> dict[str, str]:
        wanted = {str(block["digest"]): block for block in blocks}
        partition = partition_of(identity, self._settings.partitions)
        if any(block["partition"] != partition for block in wanted.values()):
            raise _gone()  # the door writes an identity's images to its partition
        place = TopicPartition(self._settings.prefix + TOPIC, partition)
        consumer = clients.reader(self._settings)
        try:
            await consumer.start()
            clients.introduce(consumer, [place])
            first = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            found = {}
            for digest, block in wanted.items():
                if not first <= min(block["offsets"]) <= max(block["offsets"]) < end:
                    raise _gone()
                found[digest] = _url(block, await self._content(consumer, place, block, identity))
            return found
        finally:
            await consumer.stop()

    async def _content(self, consumer: Any, place: TopicPartition, block: _Json, identity: str) -> bytes:
        """The bytes of one image, or of its address."""
        pieces: dict[int, bytes] = {}
        for first, end in runs(block["offsets"]):
            async with aclosing(clients.read_until(consumer, {place: (first, end)}, silence_s=_READ_S)) as found:
                async for piece in found:
                    for raw in piece.get(place, ()):
                        pieces[raw.offset] = self._piece(raw, block, identity)
        content = b"".join(pieces.get(offset, b"") for offset in block["offsets"])
        if hashlib.sha256(content).hexdigest() != block["digest"]:
            raise _changed()
        return content

    def _piece(self, raw: Any, block: _Json, identity: str) -> bytes:
        """The bytes in a record. Raises Failed where it is not ours, or another image's."""
        if raw.key != identity.encode() or not self._seals.valid(TOPIC, raw, dict(raw.headers)):
            raise _changed()
        value = orjson.loads(raw.value)  # what is sealed is JSON of ours
        if value["digest"] != block["digest"]:
            raise _changed()
        try:
            return base64.b64decode(value["data"], validate=True)
        except (binascii.Error, ValueError):
            raise _changed() from None


def runs(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Return stretches of offsets that follow one another, with their ends (exclusive): no more is read than is named.

    >>> runs([4, 5, 6, 9])
    [(4, 7), (9, 10)]
    """
    given = sorted(set(offsets))
    cuts = [at for at, (one, other) in enumerate(pairwise(given), 1) if other != one + 1]
    return [(given[a], given[b - 1] + 1) for a, b in pairwise([0, *cuts, len(given)])]


def _url(block: _Json, content: bytes) -> str:
    if block["source"] == "url":
        return content.decode("ascii", "replace")
    return f"data:{block['media_type']};base64,{base64.b64encode(content).decode()}"


def _gone() -> Failed:
    why = "the bytes of an image are not there any more; they are kept for a day"
    return Failed("image_gone", why, retry=False, provider=False)


def _changed() -> Failed:
    why = "what lies at an image's place is not that image of this identity"
    return Failed("image_changed", why, retry=False, provider=False)
