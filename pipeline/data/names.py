"""Commands to the registry of names: made, foreseen from the table, sent, and waited for one after the other."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from endocrine.agents.names.rules import fault_of
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.data.commands import NotConfirmed
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.name_reader import NameFollower
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.names import REGISTRY, Root

Json = dict[str, Any]


_STRICT = ConfigDict(extra="forbid", strict=True)


class ImportedName(BaseModel):
    """One id of an imported file."""

    model_config = _STRICT

    id: Annotated[str, Field(min_length=1, max_length=256)]
    aliases: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(default_factory=list)]
    description: Annotated[str | None, Field(max_length=2000)] = None
    ingest_roots: Annotated[list[Root] | None, Field(max_length=64)] = None


class ImportedNames(BaseModel):
    """A file of names: `{"projects": [{"id", "aliases", "description", "ingest_roots"}], "identities": [...]}`."""

    model_config = _STRICT

    projects: Annotated[list[ImportedName], Field(default_factory=list)]
    identities: Annotated[list[ImportedName], Field(default_factory=list)]


def registration(scope: str, name: str, registered_id: str, *, by: str, ts: float, **described: Any) -> Json:
    """Return the command that registers a name. described: `description`, `roots`, of an id."""
    more = {key: value for key, value in described.items() if value is not None}
    return _command("register_name", scope, name, by, ts) | {"registered_id": registered_id.strip()} | more


def release(scope: str, name: str, *, by: str, ts: float) -> Json:
    """Return the command that releases an alias."""
    return _command("release_name", scope, name, by, ts)


def _command(kind: str, scope: str, name: str, by: str, ts: float) -> Json:
    common = {"kind": kind, "identity": REGISTRY, "scope": scope, "name": name.strip(), "effective_from": ts}
    return {"id": f"names-{uuid.uuid4().hex}", **common, "by": by, "ts": ts}


def imported(names: ImportedNames, *, by: str, ts: float) -> list[Json]:
    """Return the commands of a file: each id, then its aliases."""
    commands = []
    for scope, entries in (("project", names.projects), ("identity", names.identities)):
        for entry in entries:
            roots = None if entry.ingest_roots is None else [root.model_dump() for root in entry.ingest_roots]
            described = {"description": entry.description, "roots": roots}
            commands.append(registration(scope, entry.id, entry.id, by=by, ts=ts, **described))
            commands += [registration(scope, alias, entry.id, by=by, ts=ts) for alias in entry.aliases]
    return commands


def refusals(table: NameTable, commands: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why these registrations, one after the other, would be refused, as far as the table tells. Empty: they
    would not.

    So a file is taken whole or not at all.
    """
    found, holders = [], dict[tuple[str, str], str]()
    ids = {(one["scope"], one["registered_id"]) for one in commands if one["name"] == one["registered_id"]}
    for one in commands:
        scope, name, registered_id = one["scope"], one["name"], one["registered_id"]
        key = (scope, name.lower())
        entry = table.entries.get(key)
        holder = holders.get(key)
        if holder is None and entry is not None and entry["released_from"] is None:
            holder = entry["registered_id"]
        if (fault := fault_of(scope, name) or fault_of(scope, registered_id)) is not None:
            found.append(f"{scope} {name!r}: invalid, {fault}")
        elif holder is None and (table.is_erased(scope, name) or table.is_erased(scope, registered_id)):
            found.append(f"{scope}: a name of {len(name)} characters, or its id, was erased and is not given anew")
        elif holder is None and name != registered_id and name.lower() == registered_id.lower():
            found.append(f"{scope} {name!r}: invalid, it is its id in another case; ids need no such alias")
        elif holder is not None and holder != registered_id:
            found.append(f"{scope} {name!r}: taken, it means {holder!r}")
        elif (scope, registered_id) not in ids and not table.is_registered(scope, registered_id):
            found.append(f"{scope} {name!r}: unknown, {registered_id!r} is not a registered id")
        holders.setdefault(key, registered_id)
    return found


async def sent(
    settings: Settings, seals: Seals | None, table: NameTable, commands: Sequence[Json], within_s: float
) -> list[Json]:
    """Send commands one after the other, and wait for what becomes of each; one that changes nothing is not sent.

    table: is filled, and follows. Returns the outcomes (`unchanged`, or a record of topic `registry-events`) up to the
    first that is refused. Raises NotConfirmed after `within_s` seconds without the outcome; ProduceError, KafkaError.
    """
    outcomes: list[Json] = []
    async with NameFollower(settings, seals, table) as follower:

        async def lines() -> AsyncIterator[Json]:
            for value in commands:
                if table.holds(value):
                    outcomes.append({"kind": "unchanged", "scope": value["scope"], "name": value["name"]})
                    continue
                with follower.outcome(value["id"]) as outcome:
                    yield {"topic": "commands", "value": value}
                    try:
                        outcomes.append(await asyncio.wait_for(outcome, within_s))
                    except TimeoutError:
                        raise NotConfirmed(
                            f"the command on {value['scope']} {value['name']!r} was sent, and no worker answered "
                            f"within {within_s:g} s; `endocrine names show` tells whether it did later"
                        ) from None
                if outcomes[-1]["kind"] == "refused":
                    return

        await produce(lines(), settings)
    return outcomes


def project_of(table: NameTable, path: str) -> str | None:
    """Return the project whose root holds a path: the longest, compared by component; None without one.

    >>> project_of(NameTable(), "/work/atlas")
    """
    best: tuple[int, str] | None = None
    wanted = PurePosixPath(path).parts
    for (scope, _), entry in sorted(table.entries.items()):
        for root in (entry["roots"] or ()) if scope == "project" and entry["kind"] == "id" else ():
            parts = (PurePosixPath(root["source"]) / root["subpath"]).parts
            if wanted[: len(parts)] == parts and (best is None or len(parts) > best[0]):
                best = len(parts), str(entry["registered_id"])
    return None if best is None else best[1]
