"""Content of messages: text parts are joined, image parts become notes in the text and are kept apart."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from endocrine.pipeline.gateway.openai.fields import Body, Only
from endocrine.pipeline.gateway.openai.port import Image
from endocrine.pipeline.gateway.openai.refusals import Refused

MAX_PARTS = 1024


class TextPart(Body):
    """Text, of either API."""

    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: list[Any] | None = None
    parsed: Any = None
    """A copy that helpers of the official clients add, and send again."""
    logprobs: list[Any] | None = None
    prompt_cache_breakpoint: Any = None


class RefusalPart(Body):
    """A model's refusal that the application sends again as history."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Body):
    """Where an image is."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Body):
    """An image of a chat completion."""

    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: Any = None


class InputImagePart(Body):
    """An image of the Responses API."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: Annotated[Any, Only()] = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    prompt_cache_breakpoint: Any = None


class ReasoningPart(BaseModel):
    """Reasoning of another server's answer within its content."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    type: Literal["thinking", "redacted_thinking", "reasoning"]


Part = Annotated[TextPart | RefusalPart | ImagePart | InputImagePart | ReasoningPart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(max_length=MAX_PARTS)]


def text_of(
    content: str | Sequence[Part] | None, place: str, images: list[Image] | None, *, reasons: bool = False
) -> str | None:
    """Return the content as one text. images: where those found are added; None where none may be.

    reasons: whether it is an assistant's, whose reasoning is left out. Raises Refused for a part that is neither text
    nor an image, for an image where none may be, or that is no data URL.
    """
    if content is None or isinstance(content, str):
        return content
    texts: list[str] = []
    for number, part in enumerate(content):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        elif isinstance(part, ReasoningPart) and reasons:
            continue
        elif isinstance(part, ReasoningPart):
            where = f"{place}[{number}].type"
            raise Refused("unsupported_parameter", f"'{where}': only text is supported.", param=where)
        elif images is None:
            message = f"'{place}[{number}]': images are not supported in this message."
            raise Refused("unsupported_parameter", message, param=f"{place}[{number}]")
        else:
            url = part.image_url.url if isinstance(part, ImagePart) else part.image_url
            images.append(image_of(url, f"{place}[{number}].image_url"))
            texts.append(f"[image sha256:{images[-1].digest} {len(images[-1].data)} bytes]")
    return "\n".join(texts)


def image_of(url: str | None, place: str) -> Image:
    """Return the image in a data URL. Raises Refused: another address would be fetched by nobody, so its bytes are
    unknown.
    """
    head, comma, data = (url or "").partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise Refused("unsupported_parameter", f"'{place}': images at other addresses are not supported.", param=place)
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_value", f"'{place}': the data is not base64.", param=place) from None
    return Image(hashlib.sha256(content).hexdigest(), head[len("data:") : -len(";base64")], content, place)
