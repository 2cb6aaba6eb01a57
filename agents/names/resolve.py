"""From a name to the registered id. Pure."""

from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]
"""One record of the topic `registry` (`schemas.names.RegisteredName`)."""
Table = Mapping[tuple[str, str], Entry]
"""Records of the registry by scope and lower-case name."""


def resolve(table: Table, scope: str, name: str) -> str:
    """Return the registered id of a registered id or alias, in any case; of every other name the name itself.

    One hop, never a chain: an alias of what is not a registered id counts as unregistered.

    >>> ann = {"registered_id": "Ann", "kind": "id", "released_from": None}
    >>> table = {("identity", "ann"): ann, ("identity", "a.s."): {**ann, "kind": "alias"}}
    >>> [resolve(table, "identity", name) for name in ("ANN", "A.S.", "Bob", "")]
    ['Ann', 'Ann', 'Bob', '']
    """
    entry = table.get((scope, name.lower()))
    if entry is None or entry["released_from"] is not None:
        return name
    if entry["kind"] == "id":
        return str(entry["registered_id"])
    target = table.get((scope, entry["registered_id"].lower()))
    return name if target is None or target["kind"] != "id" else str(target["registered_id"])
