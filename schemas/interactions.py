"""Topic `interactions`: a turn opened (prompt, inline signals) and closed (response, usage)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.schemas.application import Asked, Functions, Message
from endocrine.schemas.base import AuditId, Count, Id, Identity, Produced, Record, Share, Ts
from endocrine.schemas.context import ContextUsed
from endocrine.schemas.images import GivenImages
from endocrine.schemas.vocabulary import Door, Finish, Signal

Enforce = Annotated[
    bool | None,
    Field(description="False: observe; all is decided and recorded, nothing changed on the way. True where left out."),
]
DoorName = Annotated[Door | None, Field(description="The door that the turn came in by.")]


class InlineSignal(Record):
    """A signal that comes with its turn. Its time is the turn's."""

    name: Annotated[Signal, Field(description="Which signal.")]
    level: Annotated[float, Field(description="Level, 0 to 1; a finite level outside is clamped, fate `clamped`.")]
    ttl_ms: Annotated[Count | None, Field(description="Milliseconds of event time; 800 where left out.")] = None
    source: Annotated[Id | None, Field(description="Who measured it; `runtime` where left out.")] = None


class Opened(Produced):
    """A turn begins."""

    kind: Literal["opened"]
    audit_id: Annotated[Id, Field(description="Id of the turn and of its audit bundle.")]
    identity: Identity
    session_id: Annotated[Id, Field(description="Conversation that the turn belongs to.")]
    turn: Annotated[Count, Field(description="Number of the turn in its session, from 0.")]
    client: Annotated[Id, Field(description="Program that opened the turn.")]
    project: Annotated[
        str | None, Field(max_length=256, description="Project that the turn belongs to; empty or left out: none.")
    ] = None
    model: Annotated[
        Id | None, Field(description="Model to be asked; `models.default_model` of the policy where left out.")
    ] = None
    prompt: Annotated[str, Field(min_length=1, description="The user's prompt; not empty.")]
    context_pack: Annotated[str | None, Field(description="Text given to the model beside the prompt.")] = None
    context_used: Annotated[
        ContextUsed | None, Field(description="What `context_pack` was made of; a turn that we answer closes with it.")
    ] = None
    respond: Annotated[bool | None, Field(description="True: we call the model.")] = None
    signals: Annotated[
        list[InlineSignal] | None,
        Field(
            description="Signals measured for this turn. With none but alignment_risk, the prompt is read for others."
        ),
    ] = None
    messages: Annotated[
        list[Message] | None,
        Field(min_length=1, max_length=4096, description="The conversation as the application gave it, oldest first."),
    ] = None
    application_tools: Annotated[
        Functions | None, Field(description="Functions that the application declares and runs itself.")
    ] = None
    asked: Annotated[Asked | None, Field(description="Parameters that the application wishes for.")] = None
    enforce: Enforce = None
    door: DoorName = None
    streamed: Annotated[
        bool | None,
        Field(description="False: the client takes its answer whole, so it is judged whole whatever `stream` is."),
    ] = None
    images: Annotated[
        GivenImages | None, Field(description="Image parts of `messages`, in their order; the bytes are on `images`.")
    ] = None
    ts: Ts


class Usage(Record):
    """Tokens spent on a turn."""

    input_tokens: Annotated[Count, Field(description="Tokens of the prompt.")]
    output_tokens: Annotated[Count, Field(description="Tokens of the answer.")]


class Closed(Produced):
    """A turn ends."""

    kind: Literal["closed"]
    audit_id: AuditId
    identity: Identity
    response: Annotated[str, Field(description="The answer that the user got; may be empty.")]
    response_summary: Annotated[str | None, Field(description="A short form of it, for listings.")] = None
    memories_used: Annotated[list[Any] | None, Field(description="Memories that the answer was made with.")] = None
    chunks_used: Annotated[list[Any] | None, Field(description="Snippets that the answer was made with.")] = None
    reinforce: Annotated[bool | None, Field(description="Whether what was used may be reinforced.")] = None
    usage: Annotated[Usage | None, Field(description="Tokens spent on the turn.")] = None
    memory_write: Annotated[
        Share | None, Field(description="Strength with which the turn may become a memory, 0 to 1.")
    ] = None
    finish: Annotated[Finish | None, Field(description="How a turn that we answered ended; absent on others.")] = None
    enforce: Enforce = None
    door: DoorName = None
    ts: Ts


Interaction = Annotated[Opened | Closed, Field(discriminator="kind")]
