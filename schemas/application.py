"""What an application gives with a turn: its conversation, the functions that it runs itself, its wishes."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from endocrine.schemas.base import Bag, Id, Record

MAX_FUNCTIONS = 128
MAX_FUNCTIONS_CHARS = 65_536
"""Characters of all functions of one turn, written as compact JSON."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
FunctionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class GivenCall(Record):
    """A tool call of an earlier reply, as the application repeats it."""

    id: Annotated[Id, Field(description="Id of the call, as its result names it.")]
    name: Annotated[str, Field(min_length=1, max_length=256, description="Function name.")]
    arguments: Annotated[
        Bag | str, Field(description="An object, or the text that the model wrote where it is no object.")
    ]


class Message(Record):
    """One message of a conversation."""

    role: Annotated[Literal["system", "developer", "user", "assistant", "tool"], Field(description="Its author.")]
    content: Annotated[str | None, Field(description="Text; parts of a message joined, an image as a note of it.")] = (
        None
    )
    tool_calls: Annotated[
        list[GivenCall] | None, Field(max_length=1024, description="Calls of an assistant's message.")
    ] = None
    tool_call_id: Annotated[Id | None, Field(description="Id of the call that a tool's message answers.")] = None
    name: Annotated[str | None, Field(max_length=256, description="Name of the author.")] = None


class ApplicationFunction(Record):
    """A function that the application runs itself."""

    name: Annotated[FunctionName, Field(description="Function name, which the model says.")]
    description: Annotated[str, Field(description="What it does, for the model.")] = ""
    parameters: Annotated[dict[str, Any], Field(description="JSON Schema of the arguments.")]


def _bounded(functions: list[ApplicationFunction]) -> list[ApplicationFunction]:
    names = [function.name for function in functions]
    if len(set(names)) < len(names):
        raise ValueError("two functions have one name, expected names that differ")
    size = functions_chars([function.model_dump() for function in functions])
    if size > MAX_FUNCTIONS_CHARS:
        raise ValueError(f"{size} characters as JSON, expected at most {MAX_FUNCTIONS_CHARS}")
    return functions


def functions_chars(functions: Sequence[Any]) -> int:
    """Return the characters of functions, written as compact JSON."""
    return len(json.dumps(functions, ensure_ascii=False, separators=(",", ":")))


Functions = Annotated[list[ApplicationFunction], Field(max_length=MAX_FUNCTIONS), AfterValidator(_bounded)]


class Asked(Record):
    """Parameters that the application wishes for; the tighter of wish and modulation is sent."""

    temperature: Annotated[float | None, Field(ge=0, le=2, description="Sampling temperature.")] = None
    top_p: Annotated[float | None, Field(ge=0, le=1, description="Nucleus sampling.")] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=2**31, description="Tokens.")] = None
    stop: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]] | None,
        Field(max_length=16, description="Texts that end the answer."),
    ] = None
    seed: Annotated[int | None, Field(ge=-(2**53) + 1, le=2**53 - 1, description="Seed of the sampling.")] = None
    response_format: Annotated[
        dict[str, Any] | None, Field(description="Form of the answer, as chat completions name it.")
    ] = None
    tool_choice: Annotated[
        Word | dict[str, Any] | None,
        Field(description="none, auto, required, or the function to call, as chat completions name it."),
    ] = None
    parallel_tool_calls: Annotated[bool | None, Field(description="Whether one reply may hold several calls.")] = None
    reasoning_effort: Annotated[Word | None, Field(description="Effort, in the provider's words.")] = None
