"""The `audit` section of the policy: what a bundle holds, and the bounds of what is kept until it is produced."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from endocrine.schemas.base import STRICT

Bound = Annotated[int, Field(ge=1, le=4096)]


class AuditRules(BaseModel):
    """The audit's constants; shipped values, with what each means, in `config/audit.yaml`."""

    model_config = STRICT

    grace_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds of event time.")]
    include_prompt: Annotated[bool, Field(description="The prompt's text, redacted, in the bundle.")]
    prompt_chars: Annotated[int, Field(ge=1, le=50_000, description="Characters of a prompt, at most.")]
    include_arguments: Annotated[bool, Field(description="A redacted summary of each call's arguments.")]
    text_chars: Annotated[int, Field(ge=16, le=1000, description="Characters of other free text, at most.")]
    sent_parameters: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...],
        Field(strict=False, max_length=64, description="Parameters of a model request shown as sent."),
    ]
    word_chars: Annotated[int, Field(ge=1, le=64, description="Longer words as such a parameter are not shown.")]
    open_turns: Annotated[Bound, Field(description="Turns without their bundle, per identity.")]
    audited_turns: Annotated[Bound, Field(description="Turns with their bundle that are kept, per identity.")]
    calls: Annotated[Bound, Field(description="Tool calls per turn.")]
    incidents: Annotated[Bound, Field(description="Incidents per turn.")]
    requests: Annotated[Bound, Field(description="Model requests per turn.")]
    revisions: Annotated[Bound, Field(description="Revisions per turn.")]
    signals: Annotated[Bound, Field(description="Signals per turn.")]
    policies: Annotated[Bound, Field(description="Policy digests per turn.")]
    records: Annotated[Bound, Field(description="Record ids per turn and topic.")]
