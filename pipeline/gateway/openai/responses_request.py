"""Requests of `POST /responses`. Nothing is stored for later requests: each brings its whole conversation."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.pipeline.gateway.openai.conversation import Call, Conversation, Message
from endocrine.pipeline.gateway.openai.fields import Body, Only, parsed_object, read, without_neutral
from endocrine.pipeline.gateway.openai.functions import Function
from endocrine.pipeline.gateway.openai.functions import Name as FunctionName
from endocrine.pipeline.gateway.openai.parsed import (
    MAX_MESSAGES,
    Effort,
    Metadata,
    ModelName,
    ParsedRequest,
    StreamOptions,
    Temperature,
    Tokens,
    TopP,
    UserName,
    bounded_format,
    hosted,
    hosted_choice,
    named_choice,
    without_absent,
)
from endocrine.pipeline.gateway.openai.parts import Parts, text_of
from endocrine.pipeline.gateway.openai.port import Image
from endocrine.pipeline.gateway.openai.refusals import Refused

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "previous_response_id": (),
    "conversation": (),
    "store": (False,),
    "background": (False,),
    "background_options": (),
    "prompt": (),
    "truncation": ("disabled",),
    "top_logprobs": (0,),
    "max_tool_calls": (),
    "service_tier": ("auto", "default"),
    "context_management": ([],),
    "moderation": (),
    "image": (),
    "access_programs": (),
}
"""What OpenAI takes and we do not pass on, with the values under which that makes no difference."""
_INCLUDABLE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
"""Extras of items that answers here never hold: to ask for them makes no difference."""
_KNOWN_ITEMS = ("message", "function_call", "function_call_output", "reasoning")
_Status = Literal["in_progress", "completed", "incomplete"]
_ItemId = Annotated[str, Field(max_length=256)]
_CallId = Annotated[str, Field(min_length=1, max_length=256)]


class _MessageItem(Body):
    type: Literal["message"]
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Parts
    id: _ItemId | None = None
    status: _Status | None = None
    phase: str | None = None


class _CallItem(Body):
    type: Literal["function_call"]
    call_id: _CallId
    name: Annotated[str, Field(max_length=256)]
    arguments: str
    parsed_arguments: Any = None
    """A copy that helpers of the official clients add, and send again."""
    id: _ItemId | None = None
    status: _Status | None = None
    namespace: Annotated[Any, Only()] = None
    caller: dict[str, Any] | None = None
    awaited: Annotated[Any, Only(False), Field(alias="async")] = None
    async_: Annotated[Any, Only(False)] = None
    """`model_dump` of the official Python client writes its own name of `async`."""


class _OutputItem(Body):
    type: Literal["function_call_output"]
    call_id: _CallId
    output: str | Parts
    id: _ItemId | None = None
    status: _Status | None = None
    caller: dict[str, Any] | None = None
    name: str | None = None
    namespace: Annotated[Any, Only()] = None


class _ReasoningItem(Body):
    """Reasoning of another server's answer; ours have none, and it is left out."""

    type: Literal["reasoning"]
    id: _ItemId | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None
    status: _Status | None = None


class _DeclaredFunction(Function):
    type: Literal["function"]
    defer_loading: Annotated[Any, Only(False)] = None
    awaited: Annotated[Any, Only(False), Field(alias="async")] = None
    allowed_callers: Annotated[Any, Only(["direct"])] = None
    output_schema: Annotated[Any, Only()] = None


class _Choice(Body):
    type: Literal["function"]
    name: FunctionName


class _Format(Body):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class _Text(Body):
    format: _Format | None = None
    verbosity: Annotated[Any, Only("medium")] = None


class _Reasoning(Body):
    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None
    """Summaries are an extra that a model may leave out; ours are always left out."""
    context: Annotated[Any, Only("auto")] = None
    mode: Annotated[Any, Only("standard")] = None


class ResponsesRequest(Body):
    """What is asked. Members that ask for nothing (NEUTRAL) are taken away before it is read."""

    model: ModelName
    input: (
        str
        | Annotated[
            list[Annotated[_MessageItem | _CallItem | _OutputItem | _ReasoningItem, Field(discriminator="type")]],
            Field(min_length=1, max_length=MAX_MESSAGES),
        ]
    )
    instructions: str | None = None
    tools: list[_DeclaredFunction] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_output_tokens: Tokens | None = None
    include: Annotated[list[str] | None, Field(max_length=64)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: UserName | None = None
    safety_identifier: UserName | None = None
    metadata: Metadata | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None


def parse_responses(data: bytes) -> ParsedRequest:
    """Return the request in a body. Raises Refused."""
    body = without_neutral(parsed_object(data), NEUTRAL)
    hosted(body.get("tools"))
    hosted_choice(body.get("tool_choice"))
    body = _with_types(body)
    request = read(ResponsesRequest, body)
    _includable(request.include)
    functions = tuple((f"tools[{number}]", tool) for number, tool in enumerate(request.tools or ()))
    return ParsedRequest(
        model=request.model,
        conversation=_conversation(request),
        functions=functions,
        asked=_asked(request, functions),
        stream=request.stream or False,
        user=request.user or request.safety_identifier,
        metadata=request.metadata or {},
        echo={name: body.get(name) for name in ("instructions", "tools", "tool_choice", "text", "user")},
    )


def _includable(names: list[str] | None) -> None:
    if (
        other := next((number for number, name in enumerate(names or ()) if name not in _INCLUDABLE), None)
    ) is not None:
        message = f"Unsupported parameter: 'include' with the value at {other}."
        raise Refused("unsupported_parameter", message, param="include")


def _with_types(body: dict[str, Any]) -> dict[str, Any]:
    """The body with the type of messages that leave it out. Raises Refused for items that are of no use here."""
    items = body.get("input")
    if not isinstance(items, list):
        return body
    needless = _needless_references(items)
    typed: list[Any] = []
    for number, item in enumerate(items):
        found = _kind(item)
        if isinstance(item, dict) and found is None and "role" in item:
            item = {**item, "type": "message"}
        elif number in needless:
            item = {"type": "message", "role": "assistant", "content": ""}
        elif isinstance(found, str) and found not in _KNOWN_ITEMS:
            place = f"input[{number}].type"
            wanted = "nothing is stored, send the item itself" if found == "item_reference" else "not supported"
            raise Refused("unsupported_parameter", f"'{place}': {wanted}.", param=place)
        typed.append(item)
    return {**body, "input": typed}


def _needless_references(items: list[Any]) -> set[int]:
    """References to text that a continued turn gave beside its calls: the turn has that text itself.

    The AI SDK writes them unless its `store` is false. Elsewhere a reference means text that nobody keeps.
    """
    if not items or _kind(items[-1]) != "function_call_output":
        return set()
    found: set[int] = set()
    for number in range(len(items) - 1, -1, -1):
        if _kind(items[number]) == "item_reference":
            found.add(number)
        elif _kind(items[number]) not in ("function_call", "function_call_output", "reasoning"):
            break
    return found


def _kind(item: Any) -> Any:
    """The type of an item; a reference may leave it out."""
    if not isinstance(item, dict):
        return None
    found = item.get("type")
    return "item_reference" if found is None and "id" in item and not item.keys() - {"id", "type"} else found


def _conversation(request: ResponsesRequest) -> Conversation:
    images: list[Image] = []
    messages = [Message("developer", request.instructions, place="instructions")] if request.instructions else []
    if isinstance(request.input, str):
        messages.append(Message("user", request.input, place="input"))
        return Conversation(tuple(messages))
    for number, item in enumerate(request.input):
        place = f"input[{number}]"
        if isinstance(item, _MessageItem):
            allowed = images if item.role == "user" else None
            reasons = item.role == "assistant"
            content = text_of(item.content, f"{place}.content", allowed, len(messages), reasons=reasons)
            messages.append(Message(item.role, content, place=place))
        elif isinstance(item, _CallItem):
            call = Call(item.call_id, item.name, item.arguments, f"{place}.arguments")
            last = messages[-1] if messages else None
            if last is not None and last.role == "assistant":  # one reply: its text and its calls are items here
                messages[-1] = Message("assistant", last.content, (*last.calls, call), place=last.place)
            else:
                messages.append(Message("assistant", None, (call,), place=place))
        elif isinstance(item, _OutputItem):
            output = text_of(item.output, f"{place}.output", None, len(messages))
            messages.append(Message("tool", output, call_id=item.call_id, place=place))
    if not messages:
        raise Refused("invalid_value", "'input' holds no message.", param="input")
    return Conversation(tuple(messages), tuple(images))


def _asked(request: ResponsesRequest, functions: tuple[tuple[str, Function], ...]) -> dict[str, Any]:
    choice = request.tool_choice
    return without_absent(
        {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_output_tokens": request.max_output_tokens,
            "reasoning_effort": request.reasoning.effort if request.reasoning else None,
            "response_format": _format(request),
            "tool_choice": named_choice(choice.name, functions) if isinstance(choice, _Choice) else choice,
            "parallel_tool_calls": request.parallel_tool_calls,
        }
    )


def _format(request: ResponsesRequest) -> dict[str, Any] | None:
    """`text.format` in the form of chat completions, which records have."""
    found = request.text.format if request.text else None
    if found is None or found.type == "text":
        return None
    if found.type == "json_object":
        return {"type": "json_object"}
    if found.name is None or found.schema_ is None:
        place = f"text.format.{'name' if found.name is None else 'schema'}"
        raise Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", param=place)
    schema = {
        "name": found.name,
        "description": found.description,
        "schema": found.schema_,
        "strict": found.strict,
    }
    return bounded_format({"type": "json_schema", "json_schema": without_absent(schema)}, "text.format")
