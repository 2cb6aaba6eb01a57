"""Images of a conversation: what a turn says of each, and topic `images`, where its bytes are on their way.

A turn names an image by digest, size and place. The bytes lie on `images`, in pieces that fit a record, for as long as
a turn may wait; the model connector reads them there. An image at an address is carried like one: its bytes are those
of the address, which whoever serves the model fetches.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from endocrine.schemas.application import Message
from endocrine.schemas.base import Count, Digest, Identity, Record, Ts

MAX_IMAGES = 64
MAX_PIECES = 256
ImageSource = Literal["data", "url"]
MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)
Detail = Literal["auto", "low", "high", "original"]


class ImagePiece(Record):
    """A part of an image's bytes. Written before the turn that names it."""

    identity: Identity
    digest: Annotated[Digest, Field(description="SHA-256 of the whole image, or of its address.")]
    piece: Annotated[Count, Field(description="Number of the part, from 0.")]
    pieces: Annotated[int, Field(ge=1, le=MAX_PIECES, description="How many parts there are.")]
    data: Annotated[str, StringConstraints(min_length=1), Field(description="The bytes, as base64.")]
    ts: Ts


class GivenImage(Record):
    """An image part of a message. The message's text has a note of it in its place."""

    message: Annotated[Count, Field(description="Number of the message in `messages`, from 0.")]
    start: Annotated[Count, Field(description="Characters of the message's text before the image's note.")]
    digest: Annotated[Digest, Field(description="SHA-256 of the image's bytes, or of its address.")]
    size: Annotated[int, Field(ge=1, le=2**31, description="Bytes of the image, or of its address.")]
    source: Annotated[
        ImageSource, Field(description="data: the bytes were given; url: an address, which the model's server fetches.")
    ]
    media_type: Annotated[MediaType | None, Field(description="By the first bytes; null of an address.")] = None
    detail: Annotated[Detail | None, Field(description="How closely the model is to look; as given.")] = None
    partition: Annotated[Count, Field(description="Partition of `images` that holds the bytes.")]
    offsets: Annotated[
        list[Count], Field(min_length=1, max_length=MAX_PIECES, description="Offsets of the parts there, in order.")
    ]

    @property
    def note(self) -> str:
        """What the message's text has in its place."""
        return image_note(self.digest, self.size)


def image_note(digest: str, size: int) -> str:
    """Return what a text has in place of an image.

    >>> image_note("0" * 64, 68)[:20]
    '[image sha256:000000'
    """
    return f"[image sha256:{digest} {size} bytes]"


def _placed(images: list[GivenImage], info: ValidationInfo) -> list[GivenImage]:
    """The images, if each has its note where it says: so a note that somebody typed is never taken for an image."""
    if "messages" not in info.data:
        return images  # they are wrong themselves, and that is reported
    messages: Sequence[Message] = info.data["messages"] or ()
    at = (0, 0)
    for number, one in enumerate(images):
        if (one.message, one.start) < at:
            raise ValueError(f"image {number} does not come after the one before it")
        if (one.media_type is None) != (one.source == "url"):
            raise ValueError(f"image {number}: expected a media type of given bytes, and none of an address")
        if one.message >= len(messages) or messages[one.message].role != "user":
            raise ValueError(f"image {number} belongs to no message of the user")
        if not (messages[one.message].content or "").startswith(one.note, one.start):
            raise ValueError(f"the note of image {number} is not where the image says")
        at = one.message, one.start + len(one.note)
    return images


GivenImages = Annotated[list[GivenImage], Field(max_length=MAX_IMAGES), AfterValidator(_placed)]
