"""Requests of `POST /chat/completions`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.pipeline.gateway.openai.conversation import Call, Conversation, Message
from endocrine.pipeline.gateway.openai.fields import Body, Only, parsed_object, read, without_neutral
from endocrine.pipeline.gateway.openai.functions import Function
from endocrine.pipeline.gateway.openai.parsed import (
    MAX_MESSAGES,
    Effort,
    Metadata,
    ModelName,
    Named,
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
    "n": (1,),
    "store": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
    "functions": ([],),
    "function_call": (),
}
"""What OpenAI takes and we do not pass on, with the values under which that makes no difference."""


class _CalledFunction(Body):
    name: Annotated[str, Field(max_length=256)]
    arguments: str
    parsed_arguments: Any = None
    """A copy that helpers of the official clients add, and send again."""


class _ToolCall(Body):
    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: _CalledFunction
    index: int | None = None
    extra_content: Any = None
    """Gemini's signature of its thoughts, which clients send again."""
    provider_specific_fields: Any = None
    """What LiteLLM adds, and sends again."""


class _InputMessage(Body):
    role: Literal["system", "developer", "user"]
    content: str | Parts
    name: str | None = None


class _Assistant(Body):
    role: Literal["assistant"]
    content: str | Parts | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: Annotated[list[_ToolCall] | None, Field(max_length=1024)] = None
    function_call: Annotated[Any, Only()] = None
    audio: Annotated[Any, Only()] = None
    annotations: list[Any] | None = None
    parsed: Any = None
    """A copy that helpers of the official clients add."""
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None
    provider_specific_fields: Any = None
    prefix: Annotated[Any, Only(False)] = None
    """What other servers add and clients send again: their reasoning, mostly. Our answers have none; it is left out."""


class _Tool(Body):
    role: Literal["tool"]
    content: str | Parts
    tool_call_id: Annotated[str, Field(min_length=1, max_length=256)]
    name: str | None = None


class _DeclaredFunction(Body):
    type: Literal["function"]
    function: Function


class _Choice(Body):
    type: Literal["function"]
    function: Named


class _SchemaFormat(Body):
    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class _ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _SchemaFormat | None = None


class ChatRequest(Body):
    """What is asked. Members that ask for nothing (NEUTRAL) are taken away before it is read."""

    model: ModelName
    messages: Annotated[
        list[Annotated[_InputMessage | _Assistant | _Tool, Field(discriminator="role")]],
        Field(min_length=1, max_length=MAX_MESSAGES),
    ]
    tools: list[_DeclaredFunction] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: Annotated[int | None, Field(ge=-(2**53), le=2**53)] = None
    reasoning_effort: Effort | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: UserName | None = None
    safety_identifier: UserName | None = None
    metadata: Metadata | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None


def parse_chat(data: bytes) -> ParsedRequest:
    """Return the request in a body. Raises Refused."""
    body = without_neutral(parsed_object(data), NEUTRAL)
    hosted(body.get("tools"))
    hosted_choice(body.get("tool_choice"))
    request = read(ChatRequest, body)
    functions = tuple((f"tools[{n}].function", tool.function) for n, tool in enumerate(request.tools or ()))
    options = request.stream_options
    return ParsedRequest(
        model=request.model,
        conversation=_conversation(request),
        functions=functions,
        asked=_asked(request, body, functions),
        stream=request.stream or False,
        include_usage=bool(options and options.include_usage),
        user=request.user or request.safety_identifier,
        metadata=request.metadata or {},
    )


def _conversation(request: ChatRequest) -> Conversation:
    images: list[Image] = []
    messages: list[Message] = []
    for number, one in enumerate(request.messages):
        place = f"messages[{number}]"
        allowed = images if one.role == "user" else None
        content = text_of(one.content, f"{place}.content", allowed, number, reasons=one.role == "assistant")
        if isinstance(one, _Assistant):
            calls = tuple(
                Call(call.id, call.function.name, call.function.arguments, f"{place}.tool_calls[{at}]")
                for at, call in enumerate(one.tool_calls or ())
            )
            content = one.refusal if content is None else content
            messages.append(Message("assistant", content, calls, name=one.name, place=place))
        elif isinstance(one, _Tool):
            messages.append(Message("tool", content, call_id=one.tool_call_id, name=one.name, place=place))
        else:
            messages.append(Message(one.role, content, name=one.name, place=place))
    return Conversation(tuple(messages), tuple(images))


def _asked(request: ChatRequest, body: dict[str, Any], functions: tuple[tuple[str, Function], ...]) -> dict[str, Any]:
    limits = [most for most in (request.max_tokens, request.max_completion_tokens) if most is not None]
    choice = request.tool_choice
    return without_absent(
        {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_output_tokens": min(limits) if limits else None,
            "stop": [request.stop] if isinstance(request.stop, str) else request.stop or None,
            "seed": request.seed,
            "reasoning_effort": request.reasoning_effort,
            "response_format": _format(request, body),
            "tool_choice": named_choice(choice.function.name, functions) if isinstance(choice, _Choice) else choice,
            "parallel_tool_calls": request.parallel_tool_calls,
        }
    )


def _format(request: ChatRequest, body: dict[str, Any]) -> dict[str, Any] | None:
    found = request.response_format
    if found is None or found.type == "text":
        return None
    if found.type == "json_schema" and found.json_schema is None:
        place = "response_format.json_schema"
        raise Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", param=place)
    return bounded_format(body["response_format"], "response_format")
