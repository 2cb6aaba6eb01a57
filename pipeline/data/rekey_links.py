"""The links of an identity in the plan of a re-key: of each pair the name is replaced (memory, section 2). Pure.

A pair of which all evidence was common from the start is no link, and is not planned.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from endocrine.agents._shared.moving import opened
from endocrine.agents._shared.subjects import finer
from endocrine.agents.canonical import canonical_json
from endocrine.agents.linkage.pair import turned

States = Mapping[str, Mapping[str, Any]]
"""States by agent and key."""
LINKS = "linkage"
"""The agent whose state key is two identities, either of which may be the subject."""
LinkOutcome = Literal["taken", "merged", "dropped", "moved", "collision"]


class MovedLink(NamedTuple):
    """One link of the old name."""

    key: str
    new_key: str | None
    """None: it links the two names, which are one then."""
    state: Any
    """With its identities in their new order."""


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


def linked_identities(states: States) -> Iterator[str]:
    """Yield both identities of each link."""
    for key, whole in states.get(LINKS, {}).items():
        if opened(whole)[0]["listed"]:
            yield from pair_of(key)


def links_of(states: States, old: str, new: str) -> Iterator[MovedLink]:
    """Yield each link of `old` as it is under `new`, by key."""
    for key, whole in sorted(states.get(LINKS, {}).items()):
        names, state = pair_of(key), opened(whole)[0]
        if not state["listed"] or old not in names:
            continue
        renamed = [new if name == old else name for name in names]
        if renamed[0] == renamed[1]:
            yield MovedLink(key, None, state)
            continue
        pair = sorted(renamed)
        turning = pair != renamed
        yield MovedLink(key, finer(pair[0], canonical_json(pair).decode()), turned(state) if turning else state)
