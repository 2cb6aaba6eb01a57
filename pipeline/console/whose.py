"""Whose records a timeline shows: those of identities and subjects that were accepted, and that we wrote where only we
may."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from endocrine.pipeline.console.timeline import Keys
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.process.settings import Settings

Json = dict[str, Any]
_NOISE = "tick"
"""A command that nobody gave: event time passed."""


def keys_of_topic(
    topic: str,
    names: Iterable[str],
    settings: Settings,
    seals: Seals | None,
    linked: Iterable[Json] = (),
    only: Callable[[Json], bool] = lambda _: True,
) -> Keys:
    """Return which records of a topic are of these names. linked: their links, which lie under the first of the two.

    seals: None where no key is known, so that nothing can be proved. only: of these, which.
    """
    mine = frozenset(names)
    if topic == "link-events":
        under = mine | {str(link["a"]) for link in linked}
        return Keys(topic, under, accepted(topic, settings, seals, lambda value: bool({value["a"], value["b"]} & mine)))
    return Keys(
        topic, mine, accepted(topic, settings, seals, lambda value: value.get("kind") != _NOISE and only(value))
    )


def states_of(primitives: dict[str, Iterable[str]], settings: Settings) -> Keys:
    """Return which records of `attribution-states` are of these identities and their primitives."""
    topic = "attribution-states"
    keys = frozenset(f"{name}/{one}" for name, found in primitives.items() for one in found)
    return Keys(topic, keys, accepted(topic, settings, None, lambda _: True), frozenset(primitives))


def accepted(
    topic: str, settings: Settings, seals: Seals | None, meant: Callable[[Json], bool] = lambda _: True
) -> Callable[[Any], bool]:
    """Return whether a record is well formed, lies under its own key, is proved where it must be, and is meant."""
    described = CATALOGUE[topic]

    def takes(raw: Any) -> bool:
        try:
            decode(described, raw.value, settings.max_record_bytes)
        except Malformed:
            return False
        value: Json = orjson.loads(raw.value)
        if raw.key != described.key_of(str(value[described.identity_field]), value).encode():
            return False
        if described.ours and seals is not None and not seals.valid(topic, raw, dict(raw.headers)):
            return False
        return meant(value)

    return takes
