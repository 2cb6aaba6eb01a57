"""What all records share: strictness, and the types of identity, id and time."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Identity = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(
        description="Canonical identity: the user or actor the event is about; the record's key. 1 to 256 characters."
    ),
]
Subject = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(description="Whom or what it is about: a canonical identity, or `project:` and the id of a project."),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=256), Field(description="An id; 1 to 256 characters.")]
Ts = Annotated[
    float,
    Field(ge=0, lt=253_402_300_800, description="Event time, seconds since 1970-01-01 UTC, before the year 10000."),
]
Share = Annotated[float, Field(ge=0, le=1, description="A share, 0 to 1.")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1, description="A count, 0 or more; exact in every JSON reader.")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="SHA-256 in hexadecimal.")]
AuditId = Annotated[Id, Field(description="Id of the turn and of its audit bundle.")]
CallId = Annotated[Id, Field(description="Id of the tool call; no other call of the turn has it.")]
IncidentId = Annotated[Id, Field(description="Id of the incident; its `ce_id`.")]
RequestId = Annotated[Id, Field(description="Id of the model request; its reply has the same.")]
PolicyDigest = Annotated[Digest, Field(description="Digest of the policy that it was decided under.")]
Bag = Annotated[dict[str, Any], Field(description="A JSON object of free shape.")]


STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
"""Configuration of every model that nothing may be added to: records, and sections of the policy."""
STRICT_ROOT = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
"""The same of a root model, which has no fields of its own."""


class Record(BaseModel):
    """A JSON object on a topic. Strict: unknown fields, wrong types, NaN and infinities are refused."""

    model_config = STRICT


class Produced(Record):
    """A record that others may produce: it may carry an id of its own.

    Without one, and without the header `ce_id`, its id is `topic/partition/offset`.
    """

    id: Annotated[Id | None, Field(description="Id given by the producer; copies share it.")] = None
