"""Topics `model-requests` and `model-replies`: calls to a language model as effects."""

from typing import Annotated, Any

from pydantic import Field

from endocrine.schemas.application import Asked
from endocrine.schemas.base import AuditId, Bag, CallId, Count, Id, Identity, Produced, Record, RequestId, Ts
from endocrine.schemas.interactions import Usage
from endocrine.schemas.vocabulary import Purpose, ReplyStatus, Stream


class ModelRequest(Record):
    """A call to be made once per request_id."""

    request_id: RequestId
    audit_id: AuditId
    identity: Identity
    step: Annotated[Count, Field(description="Model step of the turn, from 1.")]
    model: Annotated[Id, Field(description="Name of the model, as the provider takes it.")]
    messages: Annotated[
        list[Bag],
        Field(
            description="The conversation, oldest first: objects with `role` and `content`, as chat completions have."
        ),
    ]
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
    stream: Annotated[
        Stream | None,
        Field(description="windowed: the reply's text is produced to `model-chunks` while it comes; else it is not."),
    ] = None
    asked: Annotated[Asked | None, Field(description="What the application wished for, as on opening.")] = None
    enforce: Annotated[bool | None, Field(description="False: the turn is observed; as on opening.")] = None


class ModelChunk(Record):
    """A piece of a reply's text while it comes. Not judged yet: whoever passes it on judges it first.

    A number that comes again (seq 0 twice) means that the request was made anew, by a connector that took over.
    """

    request_id: RequestId
    audit_id: AuditId
    identity: Identity
    seq: Annotated[Count, Field(description="Number of the piece in its reply, from 0.")]
    text: Annotated[str, Field(min_length=1, description="More of the answer; no reasoning, no call.")]
    ts: Ts


class RepliedCall(Record):
    """A tool call in a reply."""

    call_id: CallId
    tool: Annotated[str, Field(description="Function name as the model wrote it.")]
    arguments: Annotated[
        Bag | str, Field(description="An object, or the text that the model wrote where it is no object.")
    ]


class ModelReply(Produced):
    """The result of a request."""

    request_id: RequestId
    audit_id: AuditId
    identity: Identity
    step: Annotated[Count, Field(description="Model step of the turn, from 1.")]
    status: Annotated[ReplyStatus, Field(description="How the call ended (docs/models.md).")]
    content: Annotated[str | None, Field(description="The answer, without reasoning; null without one.")]
    tool_calls: Annotated[list[RepliedCall], Field(description="Tools that the model asks for; empty: none.")]
    finish_reason: Annotated[
        str | None, Field(description="Why the model stopped: stop, tool_calls, length; null where it did not answer.")
    ]
    usage: Annotated[Usage | None, Field(description="Tokens, where the provider counted them.")]
    model: Annotated[str, Field(description="Name of the model that answered.")]
    latency_ms: Annotated[float, Field(ge=0, description="Milliseconds.")]
    error: Annotated[
        str | None,
        Field(description="A kind, a colon, a sentence of ours; nothing of the provider's text or the conversation."),
    ]
    reasoning_chars: Annotated[
        Count | None, Field(description="Characters of reasoning that the reply held and `content` does not.")
    ] = None
    ts: Ts
