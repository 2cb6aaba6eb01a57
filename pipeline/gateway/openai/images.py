"""Image parts of requests: what is one, how large it may be, and who may send it. No message repeats any of it."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from endocrine.pipeline.gateway.openai.port import ApplicationRules, Image
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.schemas.images import MAX_IMAGES, MEDIA_TYPES, MediaType

MAX_URL_CHARS = 8192
_DATA, _BASE64 = "data:", ";base64"
_ALSO_CALLED = {"image/jpg": "image/jpeg"}
_BEGINNINGS: Sequence[tuple[bytes, MediaType]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_KINDS = "png, jpeg, gif or webp"


class ImageBounds(Protocol):
    """Bytes of one image, and of all of a request."""

    @property
    def image_bytes(self) -> int: ...

    @property
    def images_bytes(self) -> int: ...


def image_of(url: str | None, place: str) -> Image:
    """Return the image in a data URL, or at an https address, which is not looked at. Raises Refused, naming the place.

    Of a data URL the bytes say what it is, and must be what the URL says.
    """
    given = url or ""
    if given[: len(_DATA)].lower() != _DATA:
        return _at_address(given, place)
    head, comma, data = given.partition(",")
    declared = head[len(_DATA) :].lower()
    if not comma or not declared.endswith(_BASE64):
        raise Refused("invalid_value", f"'{place}': a data URL without `;base64,`.", param=place)
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_value", f"'{place}': the data is not base64.", param=place) from None
    found = media_type_of(content)
    if found is None:
        raise Refused("invalid_value", f"'{place}': the data is no image, expected {_KINDS}.", param=place)
    named = declared.removesuffix(_BASE64).partition(";")[0].strip()
    if (named := _ALSO_CALLED.get(named, named)) != found:
        what = named if named in MEDIA_TYPES else "another type"
        raise Refused("invalid_value", f"'{place}': the URL says {what}, the data is {found}.", param=place)
    return Image(hashlib.sha256(content).hexdigest(), "data", content, found, place=place, sent_chars=len(given))


def media_type_of(content: bytes) -> MediaType | None:
    """Return what the first bytes say; None where that is no image that models take.

    >>> media_type_of(b"GIF89a..."), media_type_of(b"%PDF-1.7")
    ('image/gif', None)
    """
    for beginning, name in _BEGINNINGS:
        if content.startswith(beginning):
            return name
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def check_images(images: Sequence[Image], bounds: ImageBounds) -> None:
    """Refuse an image beyond a bound, naming its place. Raises Refused."""
    if len(images) > MAX_IMAGES:
        place = images[MAX_IMAGES].place
        raise Refused("invalid_value", f"'{place}': more than {MAX_IMAGES} images in one request.", param=place)
    taken = 0
    for one in images:
        taken += one.size
        if one.source == "data" and one.size > bounds.image_bytes:
            raise _too_large(f"'{one.place}': {one.size} bytes, expected at most {bounds.image_bytes}.", one)
        if taken > bounds.images_bytes:
            raise _too_large(f"'{one.place}': the images have more than {bounds.images_bytes} bytes in all.", one)


def not_allowed(images: Sequence[Image], rules: ApplicationRules) -> Refused | None:
    """Return the refusal of an image that the policy does not let in, or null."""
    for one in images:
        if rules.images == "none" or (rules.images == "data" and one.source == "url"):
            what = "images are" if rules.images == "none" else "an image's address is"
            return Refused("unsupported_parameter", f"'{one.place}': {what} not allowed by policy.", param=one.place)
    return None


def _too_large(message: str, image: Image) -> Refused:
    return Refused("request_too_large", message, param=image.place)


def _at_address(url: str, place: str) -> Image:
    """An image at an address: whoever serves the model fetches it, nothing here does."""
    plain = len(url) <= MAX_URL_CHARS and url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url) if plain else None
        good = parts is not None and parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        wanted = f"expected a data URL, or an https address of at most {MAX_URL_CHARS} characters"
        raise Refused("invalid_value", f"'{place}': {wanted}.", param=place)
    content = url.encode()
    return Image(hashlib.sha256(content).hexdigest(), "url", content, place=place, sent_chars=len(url))
