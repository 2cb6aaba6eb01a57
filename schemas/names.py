"""Topics `registry` and `registry-events`: the registry of names, and what became of each request to change it."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import Id, Record, Ts
from endocrine.schemas.vocabulary import NameKind, NameRefusal, NameScope, RegistryEventKind

REGISTRY = "$registry"
"""The identity of all commands and records of the registry: one partition, one order."""

Scope = Annotated[NameScope, Field(description="Whose names: `identity` (people, actors) or `project`.")]
RegisteredId = Annotated[Id, Field(description="The registered id that the name means.")]
Description = Annotated[str | None, Field(max_length=2000, description="For people; of an id.")]
EffectiveFrom = Annotated[Ts, Field(description="The door's time, for people; seconds since 1970-01-01 UTC.")]


class Root(Record):
    """Where what belongs to a project is read from."""

    source: Annotated[str, Field(min_length=1, max_length=1024, description="A source of `endocrine ingest`.")]
    subpath: Annotated[str, Field(max_length=1024, description="The folder below it; empty: all of it.")]


Roots = Annotated[list[Root] | None, Field(max_length=64, description="Of an id of a project.")]


class RegisteredName(Record):
    """One name of the registry: an id, or an alias of one."""

    scope: Scope
    name: Annotated[Id, Field(description="The name, in the case it was registered with.")]
    registered_id: RegisteredId
    kind: Annotated[
        NameKind,
        Field(description="`id`: the name is the id itself; `erased`: a digest of a name that was erased."),
    ]
    description: Description
    roots: Roots
    effective_from: EffectiveFrom
    released_from: Annotated[Ts | None, Field(description="When the alias was released; null: it holds.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts


class RegistryEvent(Record):
    """What became of one command."""

    identity: Annotated[Literal["$registry"], Field(description="The registry itself.")]
    kind: Annotated[RegistryEventKind, Field(description="What happened.")]
    scope: Scope
    name: Annotated[Id, Field(description="The name that was asked for.")]
    wanted: Annotated[Id | None, Field(description="The id it should mean; null for a release.")]
    holder: Annotated[Id | None, Field(description="The id that the name means, or meant until now.")]
    reason: Annotated[NameRefusal | None, Field(description="Of a refusal.")]
    by: Annotated[Id, Field(description="The operator.")]
    command_id: Annotated[Id, Field(description="Id of the command.")]
    ts: Ts
