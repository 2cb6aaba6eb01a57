"""A registered name in a text. Pure."""

import re

from endocrine.agents.names.resolve import Table, resolve


def detect(table: Table, scope: str, text: str) -> str | None:
    """Return the registered id whose id or alias occurs in a text as a whole word, in any case; None where none does.

    The longest name first, at ties the one that occurs first.

    >>> p05 = {"scope": "project", "name": "p05", "registered_id": "p05", "kind": "id", "released_from": None}
    >>> pump = {**p05, "name": "the pump", "kind": "alias"}
    >>> table = {("project", "p05"): p05, ("project", "the pump"): pump}
    >>> [detect(table, "project", text) for text in ("is THE PUMP on?", "p05, then", "p051 and xp05")]
    ['p05', 'p05', None]
    """
    lowered, best = text.lower(), None
    for (of, name), entry in table.items():
        if of != scope or entry["released_from"] is not None or name not in lowered:
            continue
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", lowered)
        registered = resolve(table, scope, entry["name"])
        alias_of_none = entry["kind"] == "alias" and registered == entry["name"]
        if found is not None and not alias_of_none:
            best = min(best or (0, 0, ""), (-len(name), found.start(), registered))
    return None if best is None else best[2]
