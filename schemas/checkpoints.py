"""Topic `checkpoints`: the ends of the audit chains and of the journal, signed (docs/audit-chain.md)."""

from typing import Annotated

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Count, Digest, Record, Ts

KeyId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{16}$"),
    Field(description="First 16 hexadecimal digits of the SHA-256 of the raw public key."),
]


class AuditEnd(Record):
    """The last record of one partition of `audits`."""

    partition: Annotated[Count, Field(description="Partition of `audits`.")]
    offset: Annotated[Count, Field(description="Of its first copy.")]
    hash: Annotated[Digest, Field(description="Its field `hash`.")]
    count: Annotated[Count, Field(description="Records up to and with it, each once, since the first checkpoint saw.")]


class JournalEnd(Record):
    """The last journal record of one agent on one partition."""

    agent: Annotated[str, Field(description="Name of the agent.")]
    partition: Annotated[Count, Field(description="Partition of `journal`.")]
    offset: Annotated[Count, Field(description="Of its first copy.")]
    batch: Annotated[int, Field(ge=1, description="Its number.")]
    digest: Annotated[Digest, Field(description="SHA-256 of its bytes.")]


class Checkpoint(Record):
    """The ends of all chains at one moment, under one signature."""

    key_id: KeyId
    number: Annotated[int, Field(ge=1, description="From 1 for each key, without gaps.")]
    previous: Annotated[Digest | None, Field(description="SHA-256 of the canonical JSON of this key's last one.")]
    ts: Annotated[Ts, Field(description="When it was signed, by the signer's clock.")]
    audits: Annotated[list[AuditEnd], Field(description="One entry per partition that holds records.")]
    journal: Annotated[list[JournalEnd], Field(description="One entry per agent and partition.")]
    signature: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9a-f]{128}$"),
        Field(description="Ed25519 over the canonical JSON (RFC 8785) of the other fields; hexadecimal."),
    ]
