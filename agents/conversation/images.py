"""Images in a conversation: an agent sees what a turn says of one, digest, size and place, and never its bytes.

A message with images has a list of blocks as its content: `{"type": "text", "text": ...}`, and `{"type": "image", ...}`
with what the turn says of the image, for the model connector to put the bytes in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from endocrine.agents.conversation.state import Json
from endocrine.schemas.images import GivenImage

IMAGE = "image"


def with_images(messages: Sequence[Json], images: Sequence[GivenImage]) -> list[Json]:
    """Return the messages with an image's block in place of its note. images: in order, each note where it says."""
    found = list(messages)
    for number in dict.fromkeys(one.message for one in images):
        own = [one for one in images if one.message == number]
        found[number] = {**found[number], "content": _blocks(found[number]["content"], own)}
    return found


def images_in(messages: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the blocks of images in messages, in their order."""
    blocks: list[Json] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            blocks += [block for block in content if isinstance(block, dict) and block.get("type") == IMAGE]
    return blocks


def _blocks(text: str, images: Sequence[GivenImage]) -> list[Json]:
    """The blocks of a text with notes of images; the line breaks that join a note to what is beside it are left out."""
    blocks: list[Json] = []
    at = 0
    for one in images:
        between = text[at : one.start].removesuffix("\n")
        blocks += _text(between.removeprefix("\n") if at else between)
        blocks.append({"type": IMAGE, **one.model_dump(exclude={"message", "start"}, exclude_none=True)})
        at = one.start + len(one.note)
    return blocks + _text(text[at:].removeprefix("\n"))


def _text(text: str) -> list[Json]:
    return [{"type": "text", "text": text}] if text else []
