"""Topic `policy-rollouts`: which policy is in force, and how it came to be."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import Bag, Digest, Id, Record, Ts

RolloutKind = Literal["publish", "canary", "promote", "rollback"]


class PolicyRollout(Record):
    """One change of the policy in force. It counts only with a valid seal, and a number above all before it."""

    number: Annotated[int, Field(ge=1, le=2**53 - 1, description="From 1, rising: the highest one is in force.")]
    kind: Annotated[RolloutKind, Field(description="What was done.")]
    digest: Annotated[
        Digest | None,
        Field(description="Digest of the policy in force from here on; null: each process goes by its settings."),
    ]
    policy: Annotated[
        Bag | None, Field(description="Its document, resolved; of a canary both, as in `policies`. Null as the digest.")
    ]
    previous: Annotated[Digest | None, Field(description="Digest of what was in force before; null as the digest.")]
    share: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Of a canary: share of identities that are decided under the candidate."),
    ]
    candidate: Annotated[Digest | None, Field(description="Of a canary: digest of the candidate.")]
    restores: Annotated[
        int | None,
        Field(ge=0, description="Of a rollback: number of the rollout that is in force again; 0: of the settings."),
    ]
    reason: Annotated[str | None, Field(max_length=500, description="Why, for people.")]
    by: Annotated[Id, Field(description="Who did it.")]
    ts: Ts
