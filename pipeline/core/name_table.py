"""The registry of names as a door has it: every name that comes in is resolved here before a record is keyed.

Doors resolve, workers do not: agents and replay decide from the record alone (memory, 14.2). Not resolved are updates
of records whose subject is fixed (a connector's reply lies where its request lies), and what only orders results.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.agents.names.claims import claim_of
from endocrine.agents.names.resolve import Entry, resolve
from endocrine.agents.names.rules import MOST, MOST_PROJECT, PROJECT, Fault, fault_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.schemas.names import RegisteredName

_EXPECTED: Mapping[Fault, str] = {
    "empty": "empty; expected 1 to {most} characters",
    "too_long": "{length} characters; expected 1 to {most}",
    "reserved_name": "reserved_name; expected none that begins with project: or $",
}


_NAMED = ("name", "registered_id")
LITERAL = ("adopt", "retire", "erase")
"""Kinds of commands whose names are meant as they are: they end what lies under a name that is an alias now."""


class NameFault(ValueError):
    """What was given is no name of its scope. The message names what was expected, never the name."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class NameTable:
    """Names by scope and lower-case name. One dictionary: a name that is not registered costs a look-up."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of topic `registry`; a tombstone removes its name, what is no record of it changes nothing."""
        if value is None:
            scope, _, name = (key or b"").decode("utf-8", "replace").partition("/")
            self.entries.pop((scope, name), None)
            return
        try:
            entry = RegisteredName.model_validate(orjson.loads(value)).model_dump()
        except (orjson.JSONDecodeError, ValidationError):
            return
        self.entries[entry["scope"], entry["name"].lower()] = entry

    def identity(self, name: str) -> str:
        """Return the registered id of an identity, or the name itself; white space around it is cut. Raises
        NameFault."""
        return self._resolved("identity", name)

    def project(self, name: str | None) -> str | None:
        """Return the same of a project; None without one, also for an empty name."""
        return None if name is None or not name.strip() else self._resolved("project", name)

    def subject(self, name: str) -> str:
        """Return the same of a subject: an identity, `project:` and a project, or a name of ours (`$...`), which stays.

        >>> NameTable().subject("Project: p05 ")
        'project:p05'
        """
        cut = name.strip()
        if cut[: len(PROJECT)].lower() == PROJECT:
            return PROJECT + self._resolved("project", cut[len(PROJECT) :])
        return cut if cut.startswith("$") else self.identity(cut)

    def holds(self, command: Mapping[str, Any]) -> bool:
        """Return whether a command would change nothing: the agent `registry` has no outcome for it then."""
        entry = self.entries.get((command["scope"], command["name"].lower()))
        if entry is None:
            return False
        if command["kind"] == "release_name":
            return entry["kind"] == "alias" and entry["released_from"] is not None
        new = {name: command[name] for name in ("description", "roots") if command.get(name) is not None}
        held = entry["released_from"] is None and entry["registered_id"] == command["registered_id"]
        return held and {**entry, **new} == entry

    def is_registered(self, scope: str, registered_id: str) -> bool:
        """Return whether this is a registered id, in this very case."""
        entry = self.entries.get((scope, registered_id.lower()))
        return entry is not None and entry["kind"] == "id" and entry["registered_id"] == registered_id

    def is_known(self, scope: str, name: str) -> bool:
        """Return whether a name is a registered id or an alias of one, in any case."""
        entry = self.entries.get((scope, name.lower()))
        if entry is None or entry["released_from"] is not None:
            return False
        target = self.entries.get((scope, entry["registered_id"].lower()))
        return target is not None and target["kind"] == "id"

    def is_erased(self, scope: str, name: str) -> bool:
        """Return whether a name of this scope was erased: it is not given anew by accident."""
        return (scope, claim_of(scope, name)) in self.entries

    def erased_before(self, name: str, ts: float) -> bool:
        """Return whether what an identity did at a time (seconds since 1970) was erased since."""
        claim = self.entries.get(("identity", claim_of("identity", name)))
        return claim is not None and ts < float(claim["ts"])

    def shows(self, event: Mapping[str, Any]) -> bool:
        """Return whether the table has the content of an event of topic `registry-events`."""
        if event["kind"] == "refused":
            return True
        entry = self.entries.get((event["scope"], event["name"].lower()))
        holder = None if entry is None or entry["released_from"] is not None else entry["registered_id"]
        return bool(holder == (None if event["kind"] == "released" else event["wanted"]))

    def faults(self) -> list[dict[str, str]]:
        """Return aliases that count as unregistered, since what they name is an alias itself, or not registered."""
        found = []
        for (scope, _), entry in sorted(self.entries.items()):
            if entry["kind"] == "alias" and entry["released_from"] is None:
                target = self.entries.get((scope, entry["registered_id"].lower()))
                if target is None or target["kind"] != "id":
                    fault = "alias_of_unregistered" if target is None else "alias_of_alias"
                    found.append({"fault": fault, "scope": scope, **{key: entry[key] for key in _NAMED}})
        return found

    def line(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record `{"topic", "value", "key"?}` with its names resolved; a key of its own that was the name
        follows.

        Commands of a re-key and of an erasure stay as they are. What is no text is left as it is, for the topic's model
        to judge. Raises NameFault.
        """
        topic, value = CATALOGUE[line["topic"]], line["value"]
        if topic.name in ("commands", "erasures") and value.get("kind") in LITERAL:
            return line
        found: dict[str, Any] = {}
        named = value.get(topic.identity_field)
        if isinstance(named, str) and named:
            found[topic.identity_field] = self.subject(named) if topic.takes_subjects else self.identity(named)
        if isinstance(value.get("project"), str):
            found["project"] = self.project(value["project"])
        if all(value[name] == resolved for name, resolved in found.items()):
            return line
        after = {**line, "value": {**value, **found}}
        if line.get("key") == named and topic.identity_field in found:
            after["key"] = found[topic.identity_field]
        return after

    def _resolved(self, scope: str, name: str) -> str:
        cut = name.strip()
        fault = fault_of(scope, cut)
        if fault is not None:
            most = MOST_PROJECT if scope == "project" else MOST
            raise NameFault(fault, _EXPECTED[fault].format(length=len(cut), most=most))
        return resolve(self.entries, scope, cut)
