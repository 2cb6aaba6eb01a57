"""The links of an identity in the plan of a re-key: of each pair the name would be replaced (memory, section 2). Pure.

The agent `linkage` cannot adopt a pair yet, so an apply that needs it is refused. A pair of which all evidence was
common from the start is no link, and is not planned.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import orjson

from endocrine.agents._shared.subjects import finer
from endocrine.agents.canonical import canonical_json

Pairs = Mapping[str, Any]
"""States of `linkage` by key."""
LinkOutcome = Literal["taken", "merged", "dropped"]


def pair_of(key: str) -> tuple[str, str]:
    """Return the two identities of a state key of `linkage`. Raises ValueError where it is no such key.

    >>> pair_of('ops/ann/["ops/ann","bob"]')
    ('ops/ann', 'bob')
    """
    at = key.find('/["')
    while at >= 0:
        try:
            a, b = orjson.loads(key[at + 1 :])
        except ValueError:
            a = b = None
        if a == key[:at] and isinstance(b, str):
            return a, b
        at = key.find('/["', at + 1)
    raise ValueError(f"a state key of linkage of {len(key)} characters: expected an identity and a pair")


def linked_identities(pairs: Pairs) -> Iterator[str]:
    """Yield both identities of each link."""
    for key, state in pairs.items():
        if state["listed"]:
            yield from pair_of(key)


def links_of(pairs: Pairs, old: str, new: str) -> Iterator[tuple[LinkOutcome, str, Any]]:
    """Yield what would become of each link of `old` under `new`, its key and its state, by key.

    dropped: it links the two names, which are one then; merged: both have a link with the other identity.
    """
    for key, state in sorted(pairs.items()):
        names = pair_of(key)
        if not state["listed"] or old not in names:
            continue
        a, b = sorted(new if name == old else name for name in names)
        if a == b:
            yield "dropped", key, state
        else:
            yield ("merged" if finer(a, canonical_json([a, b]).decode()) in pairs else "taken"), key, state
