"""Topics `model-requests` and `model-replies`: calls to a language model as effects."""

from typing import Annotated, Any

from pydantic import Field

from schemas.base import Bag, Count, Id, Identity, Produced, Record, Ts
from schemas.interactions import Usage
from schemas.vocabulary import Purpose, ReplyStatus


class ModelRequest(Record):
    """A call to be made once per request_id."""

    request_id: Id
    audit_id: Id
    identity: Identity
    step: Count
    model: Id
    messages: list[Bag]
    tools: Annotated[list[Any], Field(description="Functions offered.")]
    parameters: Annotated[Bag, Field(description="As sent.")]
    dropped: Annotated[list[str], Field(description="Parameters the model does not take.")]
    deadline_ms: Annotated[Count, Field(description="Milliseconds.")]
    purpose: Annotated[
        Purpose | None,
        Field(description="What the reply is for; absent: the answer. A verdict's reply has JSON as its content."),
    ] = None
    concise: Annotated[
        bool | None, Field(description="True: cut short, because the identity's token budget is near its end.")
    ] = None
    reserved_tokens: Annotated[
        Count | None, Field(description="Tokens held back from the budget: prompt and answer together, at most.")
    ] = None
    ts: Ts


class RepliedCall(Record):
    """A tool call in a reply."""

    call_id: Id
    tool: str
    arguments: Bag | str


class ModelReply(Produced):
    """What came of a request."""

    request_id: Id
    audit_id: Id
    identity: Identity
    step: Count
    status: ReplyStatus
    content: str | None
    tool_calls: list[RepliedCall]
    finish_reason: str | None
    usage: Usage | None
    model: str
    latency_ms: Annotated[float, Field(ge=0, description="Milliseconds.")]
    error: Annotated[
        str | None,
        Field(description="A kind, a colon, a sentence of ours; nothing of the provider's text or the conversation."),
    ]
    reasoning_chars: Annotated[
        Count | None, Field(description="Characters of reasoning that the reply held and `content` does not.")
    ] = None
    ts: Ts
