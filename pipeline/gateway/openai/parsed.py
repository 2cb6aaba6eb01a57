"""A request of either API in one form, and what both read alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, StringConstraints

from endocrine.agents.gating.patterns import MAX_CHARS
from endocrine.pipeline.gateway.openai.conversation import Conversation
from endocrine.pipeline.gateway.openai.fields import Body
from endocrine.pipeline.gateway.openai.functions import MAX_FUNCTIONS, Function
from endocrine.pipeline.gateway.openai.functions import Name as FunctionName
from endocrine.pipeline.gateway.openai.refusals import Refused

MAX_MESSAGES = 4096
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=1, le=2**31 - 1)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
UserName = Annotated[str, StringConstraints(max_length=256)]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]


class Named(Body):
    """A function by its name."""

    name: FunctionName


class StreamOptions(Body):
    """Options of a stream. Obfuscation is padding that we never add."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


@dataclass(frozen=True)
class ParsedRequest:
    """What a request says, checked for its form."""

    model: str
    conversation: Conversation
    functions: tuple[tuple[str, Function], ...]
    """(place in the request, definition)."""
    asked: Mapping[str, Any]
    """As `interactions.opened` has it."""
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    echo: Mapping[str, Any] = field(default_factory=dict)
    """Responses: members of the request that the answer repeats."""


def hosted(tools: Any) -> None:
    """Refuse a tool that is not the application's own: nothing here runs a provider's own tools."""
    if not isinstance(tools, list):
        return
    if len(tools) > MAX_FUNCTIONS:
        raise Refused("invalid_value", f"'tools': more than {MAX_FUNCTIONS} functions.", param="tools")
    for number, tool in enumerate(tools):
        if isinstance(tool, dict) and isinstance(tool.get("type"), str) and tool["type"] != "function":
            place = f"tools[{number}].type"
            raise Refused("unsupported_parameter", f"'{place}': only functions are supported.", param=place)


def hosted_choice(choice: Any) -> None:
    """Refuse a choice of a tool that is no function, or of several of them."""
    if isinstance(choice, dict) and isinstance(choice.get("type"), str) and choice["type"] != "function":
        place = "tool_choice.type"
        raise Refused("unsupported_parameter", f"'{place}': only one function can be chosen.", param=place)


def named_choice(name: str, functions: tuple[tuple[str, Function], ...]) -> dict[str, Any]:
    """Return a tool choice as chat completions write it. Raises Refused where no function of the request has the
    name.
    """
    if name not in {function.name for _, function in functions}:
        raise Refused("invalid_value", "'tool_choice' names a function that is not declared.", param="tool_choice")
    return {"type": "function", "function": {"name": name}}


def bounded_format(found: dict[str, Any], place: str) -> dict[str, Any]:
    """Return a response format. Raises Refused beyond the bound of schemas."""
    try:
        size = len(orjson.dumps(found))
    except (orjson.JSONEncodeError, RecursionError):
        size = MAX_CHARS + 1
    if size > MAX_CHARS:
        raise Refused("invalid_value", f"'{place}': more than {MAX_CHARS // 1024} KiB.", param=place)
    return found


def without_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are there."""
    return {name: value for name, value in values.items() if value is not None}
