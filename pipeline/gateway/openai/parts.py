"""Content of messages: text parts are joined, image parts become notes in the text and are kept apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from endocrine.pipeline.gateway.openai.fields import Body, Only
from endocrine.pipeline.gateway.openai.images import image_of
from endocrine.pipeline.gateway.openai.port import Image
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.schemas.images import Detail, image_note

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
    detail: Detail | None = None


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
    detail: Detail | None = None
    prompt_cache_breakpoint: Any = None


class ReasoningPart(BaseModel):
    """Reasoning of another server's answer within its content."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    type: Literal["thinking", "redacted_thinking", "reasoning"]


Part = Annotated[TextPart | RefusalPart | ImagePart | InputImagePart | ReasoningPart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(max_length=MAX_PARTS)]


def text_of(
    content: str | Sequence[Part] | None,
    place: str,
    images: list[Image] | None,
    message: int,
    *,
    reasons: bool = False,
) -> str | None:
    """Return the content as one text. images: where those found are added; None where none may be. message: its number
    in the conversation.

    reasons: whether it is an assistant's, whose reasoning is left out. Raises Refused for a part that is neither text
    nor an image, for an image where none may be, and for what is not an image.
    """
    if content is None or isinstance(content, str):
        return content
    texts: list[str] = []
    chars = 0
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
            unsupported = f"'{place}[{number}]': images are not supported in this message."
            raise Refused("unsupported_parameter", unsupported, param=f"{place}[{number}]")
        else:
            url, detail = (
                (part.image_url.url, part.image_url.detail)
                if isinstance(part, ImagePart)
                else (part.image_url, part.detail)
            )
            found = image_of(url, f"{place}[{number}].image_url")
            images.append(replace(found, detail=detail, message=message, start=chars))
            texts.append(image_note(found.digest, found.size))
        chars += len(texts[-1]) + 1
    return "\n".join(texts)
