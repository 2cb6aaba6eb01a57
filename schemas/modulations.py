"""Topics `modulations` (parameters for a turn, with lineage and revision) and `late-advice` (they came too late)."""

from typing import Annotated, Any

from pydantic import Field

from endocrine.schemas.base import AuditId, Bag, Count, Identity, PolicyDigest, Produced, Record, Ts
from endocrine.schemas.vocabulary import Fate, Mode, Refusal, RegulatedSignal, Review, Tool


class Parameters(Record):
    """How to call the model now. These bounds are the widest; a policy may narrow them."""

    temperature: Annotated[float, Field(ge=0, le=1, description="Sampling temperature.")]
    top_p: Annotated[float, Field(ge=0.1, le=1, description="Nucleus sampling.")]
    max_output_tokens: Annotated[int, Field(ge=256, le=2048, description="Tokens.")]
    reasoning_effort: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of effort: below 0.34 low, below 0.67 medium, else high, in the provider's words.",
        ),
    ]
    retrieval_k: Annotated[int, Field(ge=2, le=10, description="Snippets.")]
    planner_beam: Annotated[int, Field(ge=1, le=6, description="Plans considered side by side.")]
    memory_write: Annotated[float, Field(ge=0.1, le=1, description="Strength with which the turn may become a memory.")]
    safety_mode: Annotated[Mode, Field(description="Safety mode; the same as the record's `mode`.")]
    tool_allowlist: Annotated[list[Tool], Field(description="Tools that the turn may use, canonical names.")]


class WeighedSignal(Record):
    """A signal that was looked at for the turn, and what became of it."""

    name: Annotated[RegulatedSignal, Field(description="Which signal.")]
    level: Annotated[float, Field(description="Level as it counted: after clamping and caps.")]
    source: Annotated[str, Field(description="Who measured it.")]
    ts: Annotated[float, Field(description="Event time of the measurement, seconds since 1970-01-01 UTC.")]
    fate: Annotated[Fate, Field(description="What became of it (docs/signals.md).")]


class Step(Record):
    """One step in the making of one parameter."""

    step: Annotated[
        str,
        Field(description="default, map, nudge, guard, flag, lock, tighten, approve, strict, bound, hold, carry."),
    ]
    by: Annotated[str, Field(description="What did it: a signal, a flag, the style table, a bound.")]
    from_: Annotated[Any, Field(alias="from", description="Value before the step.")]
    to: Annotated[Any, Field(description="Value after it.")]


class Function(Record):
    """A tool as a model takes it."""

    name: Annotated[str, Field(description="Function name, which the model says; not the canonical name.")]
    description: Annotated[str, Field(description="What the tool does, for the model.")]
    parameters: Annotated[Bag, Field(description="JSON Schema of the arguments.")]


class Modulation(Record):
    """One revision of a turn's parameters."""

    audit_id: AuditId
    identity: Identity
    revision: Annotated[Count, Field(description="0 for the first; each change adds 1.")]
    admitted: Annotated[bool, Field(description="False: the turn may not run; `refusal` says why.")]
    refusal: Annotated[
        Refusal | None,
        Field(description="Why it is not admitted. held: it waits for a person; a later revision answers."),
    ]
    review: Annotated[Review, Field(description="suggested: a person should look; required: the turn waits for one.")]
    mode: Annotated[Mode, Field(description="Safety mode; the same as `parameters.safety_mode`.")]
    parameters: Annotated[Parameters, Field(description="How to call the model now.")]
    prompt_style: Annotated[str, Field(description="Style of the system prompt (`prompt_styles` of the policy).")]
    signals: Annotated[list[WeighedSignal], Field(description="Signals that were looked at, with their fate.")]
    lineage: Annotated[
        dict[str, list[Step]], Field(description="Of each parameter, the steps from its default to its value.")
    ]
    policy: PolicyDigest
    ts: Ts
    functions: Annotated[
        list[Function],
        Field(default_factory=list, description="The allowed tools, ready for a model; empty where not admitted."),
    ]
    expires: Annotated[Ts | None, Field(description="Held only: when the waiting for a person ends.")] = None
    application_tools: Annotated[
        list[str] | None,
        Field(
            description="Names of those `functions` that the application runs itself; absent where it declares none."
        ),
    ] = None


class LateAdvice(Produced):
    """A door gave an application the strict defaults, because a turn's parameters did not come in time."""

    audit_id: AuditId
    identity: Identity
    within_ms: Annotated[Count, Field(description="Milliseconds that the door waited.")]
    mode: Annotated[Mode, Field(description="The mode that the application was given.")]
    policy: Annotated[PolicyDigest, Field(description="What the defaults were made of.")]
    ts: Ts
