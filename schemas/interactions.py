"""Topic `interactions`: a turn opened (prompt, inline signals) and closed (response, usage)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import Count, Id, Identity, Produced, Record, Share, Ts
from schemas.vocabulary import Finish, Signal


class InlineSignal(Record):
    """A signal that comes with its turn. Its time is the turn's."""

    name: Signal
    level: Annotated[float, Field(description="Level, 0 to 1; a finite level outside is clamped, fate `clamped`.")]
    ttl_ms: Annotated[Count | None, Field(description="Milliseconds of event time; 800 where left out.")] = None
    source: Annotated[Id | None, Field(description="Who measured it; `runtime` where left out.")] = None


class Opened(Produced):
    """A turn begins."""

    kind: Literal["opened"]
    audit_id: Annotated[Id, Field(description="Id of the turn and of its audit bundle.")]
    identity: Identity
    session_id: Id
    turn: Annotated[Count, Field(description="Number of the turn in its session, from 0.")]
    client: Id
    project: Id | None = None
    model: Id | None = None
    prompt: Annotated[str, Field(min_length=1, description="The user's prompt; not empty.")]
    context_pack: Annotated[str | None, Field(description="Text given to the model beside the prompt.")] = None
    respond: Annotated[bool | None, Field(description="True: we call the model.")] = None
    signals: list[InlineSignal] | None = None
    ts: Ts


class Usage(Record):
    """Tokens spent on a turn."""

    input_tokens: Count
    output_tokens: Count


class Closed(Produced):
    """A turn ends."""

    kind: Literal["closed"]
    audit_id: Id
    identity: Identity
    response: str
    response_summary: str | None = None
    memories_used: list[Any] | None = None
    chunks_used: list[Any] | None = None
    reinforce: bool | None = None
    usage: Usage | None = None
    memory_write: Annotated[
        Share | None, Field(description="Strength with which the turn may be remembered, 0 to 1.")
    ] = None
    finish: Annotated[Finish | None, Field(description="How a turn that we answered ended; absent on others.")] = None
    ts: Ts


Interaction = Annotated[Opened | Closed, Field(discriminator="kind")]
