"""Topic `modulations`: parameters for a turn, with lineage and revision."""

from typing import Annotated, Any

from pydantic import Field

from schemas.base import Bag, Count, Digest, Id, Identity, Record, Ts
from schemas.vocabulary import Fate, Mode, Refusal, RegulatedSignal, Review, Tool


class Parameters(Record):
    """How to call the model now. These bounds are the widest; a policy may narrow them."""

    temperature: Annotated[float, Field(ge=0, le=1)]
    top_p: Annotated[float, Field(ge=0.1, le=1)]
    max_output_tokens: Annotated[int, Field(ge=256, le=2048, description="Tokens.")]
    reasoning_effort: Annotated[float, Field(ge=0, le=1)]
    retrieval_k: Annotated[int, Field(ge=2, le=10, description="Snippets.")]
    planner_beam: Annotated[int, Field(ge=1, le=6)]
    memory_write: Annotated[float, Field(ge=0.1, le=1)]
    safety_mode: Mode
    tool_allowlist: list[Tool]


class WeighedSignal(Record):
    """A signal that was looked at for the turn, and what became of it."""

    name: RegulatedSignal
    level: float
    source: str
    ts: float
    fate: Fate


class Step(Record):
    """One step in the making of one parameter."""

    step: Annotated[
        str,
        Field(description="default, map, nudge, guard, flag, lock, tighten, approve, strict, bound, hold, carry."),
    ]
    by: Annotated[str, Field(description="What did it: a signal, a flag, the style table, a bound.")]
    from_: Annotated[Any, Field(alias="from")]
    to: Any


class Function(Record):
    """A tool as a model takes it."""

    name: Annotated[str, Field(description="Function name, which the model says; not the canonical name.")]
    description: str
    parameters: Annotated[Bag, Field(description="JSON Schema of the arguments.")]


class Modulation(Record):
    """One revision of a turn's parameters."""

    audit_id: Id
    identity: Identity
    revision: Annotated[Count, Field(description="0 for the first; each change adds 1.")]
    admitted: bool
    refusal: Annotated[
        Refusal | None,
        Field(description="Why it is not admitted. held: it waits for a person; a later revision answers."),
    ]
    review: Annotated[Review, Field(description="suggested: a person should look; required: the turn waits for one.")]
    mode: Mode
    parameters: Parameters
    prompt_style: str
    signals: list[WeighedSignal]
    lineage: dict[str, list[Step]]
    policy: Digest
    ts: Ts
    functions: Annotated[
        list[Function],
        Field(default_factory=list, description="The allowed tools, ready for a model; empty where not admitted."),
    ]
    expires: Annotated[Ts | None, Field(description="Held only: when the waiting for a person ends.")] = None
