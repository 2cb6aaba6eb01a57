"""Topics `journal` and `policies`: what a decision is proved from."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Bag, Count, Digest, Id, PolicyDigest, Record, Ts

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$"), Field(description="Id of a key of content.")]


class ContentKey(Record):
    """A key that content of a subject is encrypted with, or that it was destroyed."""

    key_id: KeyId
    subject: Annotated[Digest, Field(description="SHA-256 that names the subject.")]
    wrapped: Annotated[
        str | None, Field(description="The key, wrapped (AES-KW, RFC 3394), hexadecimal; null: it was destroyed.")
    ]
    wrapped_by: Annotated[str | None, Field(description="Id of the key that wraps it.")]
    destroyed: Annotated[Ts | None, Field(description="When it was destroyed.")]


class JournalEntry(Record):
    """What one batch of one agent read, in which order."""

    agent: Annotated[str, Field(description="Name of the agent.")]
    partition: Annotated[Count, Field(description="Partition that the batch was read from.")]
    batch: Annotated[int, Field(ge=1, description="From 1, without gaps.")]
    runs: Annotated[
        list[Annotated[list[Any], Field(min_length=3, max_length=3)]],
        Field(description="[topic, first offset, count], in the order read."),
    ]
    inputs: Annotated[Digest, Field(description="SHA-256 over the keys and values read, in order.")]
    previous: Annotated[Digest | None, Field(description="SHA-256 of the previous journal record's bytes.")]
    policy: PolicyDigest
    version: Annotated[str, Field(description="Code version and build of the worker.")]
    claim: Annotated[int, Field(ge=-1, description="The writer's epoch: changelog offset of its epoch record.")]
    refused: Annotated[
        str | None,
        Field(description="Why the batch's one record was not processed: its outputs fit no batch."),
    ] = None
    forged: Annotated[
        list[Annotated[list[Any], Field(min_length=2, max_length=2)]] | None,
        Field(description="[topic, offset] of records read whose seal was not ours: they count as an outsider's."),
    ] = None
    keys: Annotated[
        list[KeyId] | None,
        Field(description="Keys that content was encrypted with; left out where it is written in clear."),
    ] = None
    unreadable: Annotated[
        list[Annotated[list[Any], Field(min_length=2, max_length=2)]] | None,
        Field(description="[topic, offset] of records passed over, as the key of their content was destroyed."),
    ] = None


class PublishedPolicy(Record):
    """A policy that was ever in force, by its digest."""

    digest: Annotated[Digest, Field(description="SHA-256 of the canonical JSON of `policy`; the record's key.")]
    policy: Annotated[Bag, Field(description="The document, resolved.")]
    previous: Annotated[Digest | None, Field(description="Digest of the policy that was in force before it.")]
    by: Annotated[Id, Field(description="Who published it: a worker that decides by it, or an operator.")]
    ts: Ts
