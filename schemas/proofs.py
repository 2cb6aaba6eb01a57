"""Topics `journal`, `policies` and `audits`: what a decision is proved from."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from schemas.base import Bag, Count, Digest, Id, Identity, Record, Ts


class JournalEntry(Record):
    """What one batch of one agent read, in which order."""

    agent: str
    partition: Count
    batch: Annotated[int, Field(ge=1, description="From 1, without gaps.")]
    runs: Annotated[
        list[Annotated[list[Any], Field(min_length=3, max_length=3)]],
        Field(description="[topic, first offset, count], in the order read."),
    ]
    inputs: Annotated[Digest, Field(description="SHA-256 over the keys and values read, in order.")]
    previous: Annotated[Digest | None, Field(description="SHA-256 of the previous journal record's bytes.")]
    policy: Digest
    version: str
    claim: Annotated[int, Field(ge=-1, description="Changelog offset of the writer's claim.")]
    refused: Annotated[
        str | None, Field(description="Why the batch's one record was not thought: what it causes fits into no batch.")
    ] = None


class PublishedPolicy(Record):
    """A policy that was ever in force, by its digest."""

    digest: Digest
    policy: Annotated[Bag, Field(description="The document, resolved.")]
    previous: Digest | None
    by: Id
    ts: Ts


class Audit(Record):
    """The bundle of a turn; its other fields come with the audit feature."""

    model_config = ConfigDict(extra="allow")

    identity: Identity
    audit_id: Id
    ts: Ts
    previous: Digest | None
    hash: Digest
