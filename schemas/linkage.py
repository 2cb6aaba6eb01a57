"""Topics `link-evidence`, `link-hints`, `identity-links` and `link-events`: identities that may be one actor's.

Advice about opaque identities: probabilistic, reversible, and never a gate. Nothing is merged in storage.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Digest, Id, Identity, Record, Share, Ts
from endocrine.schemas.vocabulary import LinkClass, LinkEventKind, LinkKind, LinkRefusal, LinkStatus

Token = Annotated[
    str,
    StringConstraints(pattern=r"^\$ev:[a-z0-9]{1,16}:[0-9a-f:]{1,64}$"),
    Field(description="What equal or near values share: `$ev:<kind>:<digest>`, or two blocks of a keystroke simhash."),
]
Kind = Annotated[LinkKind, Field(description="Kind of evidence.")]
Distance = Annotated[int, Field(ge=0, le=64, description="Differing bits of 64; of keystroke evidence only.")]
ValueDigest = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{32}$"),
    Field(description="Stands for the value, or for the two values of keystroke evidence, in hexadecimal."),
]
First = Annotated[Identity, Field(description="The identity that sorts first by code points; the record's key.")]
Second = Annotated[Identity, Field(description="The other identity.")]
Observations = Annotated[
    list[Id], Field(min_length=2, max_length=2, description="Ids of the observations, of a and b.")
]


class Evidence(Record):
    """One identity showed a value that others may show too."""

    token: Token
    kind: Kind
    identity: Identity
    value: Annotated[str, StringConstraints(min_length=1, max_length=1024), Field(description="The value observed.")]
    observation_id: Annotated[Id, Field(description="Id of the observation.")]
    ts: Ts


class Hint(Record):
    """Two identities showed one value, or two keystroke values close to each other."""

    a: First
    b: Second
    kind: Kind
    distance: Distance | None = None
    value_digest: ValueDigest
    seen_a: Annotated[Ts, Field(description="When a showed it; seconds since 1970-01-01 UTC.")]
    seen_b: Annotated[Ts, Field(description="When b showed it; seconds since 1970-01-01 UTC.")]
    observations: Observations
    holders: Annotated[int, Field(ge=2, description="Identities under the token, as far as they are kept.")]
    common: Annotated[bool, Field(description="True: too many hold it, so it is no evidence; else absent.")] = False
    capped: Annotated[bool, Field(description="True: more hold it than are kept; else absent.")] = False
    ts: Ts


class LinkEvidence(Record):
    """One piece of evidence of a link."""

    kind: Kind
    class_: Annotated[LinkClass, Field(alias="class", description="How much its kind says.")]
    weight: Annotated[Share, Field(description="Weight of that class.")]
    distance: Distance | None = None
    value_digest: ValueDigest
    observations: Observations
    common: Annotated[bool, Field(description="Whether too many identities hold the value.")]
    counted: Annotated[
        bool, Field(description="Whether the score uses it: the best of its kind that is not common and not too old.")
    ]
    first_ts: Annotated[Ts, Field(description="When it was first seen; seconds since 1970-01-01 UTC.")]
    last_ts: Annotated[Ts, Field(description="When it was last seen; seconds since 1970-01-01 UTC.")]


class IdentityLink(Record):
    """The link of two identities as it is."""

    a: First
    b: Second
    score: Annotated[Share, Field(description="1 - the product of (1 - weight) over the kinds that count.")]
    evidence: Annotated[list[LinkEvidence], Field(max_length=64, description="By kind, the best of each kind first.")]
    status: Annotated[LinkStatus, Field(description="observed, proposed, applied or dismissed.")]
    weakened: Annotated[bool, Field(description="True: applied, and its score is now below what is proposed.")]
    capped: Annotated[bool, Field(description="True: more values or holders than are kept; else absent.")] = False
    by: Annotated[Id, Field(description="The operator of the last command that changed it, or `linkage`.")]
    ts: Ts


class LinkEvent(Record):
    """What happened to a link. `refused`: a command had no effect, and why."""

    kind: Annotated[LinkEventKind, Field(description="What happened.")]
    a: First
    b: Second
    old: Annotated[LinkStatus | None, Field(description="Status before; null: there was no link.")]
    new: Annotated[LinkStatus | None, Field(description="Status after; null: there is no link.")]
    score: Annotated[Share, Field(description="The score then.")]
    evidence_digest: Annotated[Digest | None, Field(description="Of the canonical JSON of the evidence then.")]
    refusal: Annotated[LinkRefusal | None, Field(description="Why a command was refused.")]
    reason: Annotated[str | None, Field(description="Why, in the words of the operator.")]
    by: Annotated[Id, Field(description="The operator, or `linkage`.")]
    ts: Ts
