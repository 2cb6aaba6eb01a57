"""Where records and states lie, by their subject: for moving them to another number of partitions. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.agents.analytics.agent import KEY as FIGURES
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.schemas.names import REGISTRY

FINER_STATES: Mapping[str, int] = {"attribution": 1, "memory": 1, "conflicts": 1, "trust": 2}
"""By agent, how many parts after its subject the key of a state has (what agents' `key` say); of others none."""
OF_A_PARTITION = frozenset((CHAIN_KEY, FIGURES))
"""Keys of states that are a partition's own and no subject's: ends of chains, figures of tools."""


class Unplaceable(Exception):
    """A state lies on a partition that is not its subject's. The message names the unit, not the key."""


def subject_of_state(agent: str, key: str) -> str | None:
    """Return whose a state is; None for a partition's own.

    >>> subject_of_state("attribution", "ops/ann/motor.pace"), subject_of_state("gating", "ops/ann")
    ('ops/ann', 'ops/ann')
    >>> subject_of_state("linkage", 'a/b/["a/b","c"]'), subject_of_state("analytics", "tools")
    ('a/b', None)
    """
    if key == CHAIN_KEY or (agent == "analytics" and key == FIGURES):
        return None
    if agent == "registry":
        return REGISTRY
    if agent == "linkage":
        return _first_of_pair(key)
    return key.rsplit("/", FINER_STATES.get(agent, 0))[0]


def _first_of_pair(key: str) -> str:
    """The identity before `/` and a pair as JSON, which begins with it. Names hold any character."""
    begin = key.find('/["')
    while begin >= 0:
        try:
            pair: Any = orjson.loads(key[begin + 1 :])
        except orjson.JSONDecodeError:
            pair = None
        if isinstance(pair, list) and pair and pair[0] == key[:begin]:
            return key[:begin]
        begin = key.find('/["', begin + 1)
    return key


def home_of_state(agent: str, partition: int, key: str, *, before: int, after: int) -> int:
    """Return the new partition of a state. Raises Unplaceable."""
    subject = subject_of_state(agent, key)
    if subject is None:
        return partition % after
    if partition_of(subject, before) != partition:
        raise Unplaceable(
            f"{agent}/{partition}: a state whose key has {len(key)} characters is not on the partition of its subject; "
            "it cannot be moved. `endocrine replay verify` says more"
        )
    return partition_of(subject, after)


def home_of_record(
    topic: str, partition: int, key: bytes | None, value: bytes | None, *, before: int, after: int
) -> int:
    """Return the new partition of a record: its subject's. Of one that lies on no subject's (it was forwarded, or is a
    dead letter, by now): any, and always the same."""
    described = CATALOGUE.get(topic)
    for subject in _subjects(described, key, value):
        if partition_of(subject, before) == partition:
            return partition_of(subject, after)
    return partition % after


def _subjects(described: Topic | None, key: bytes | None, value: bytes | None) -> list[str]:
    """Whose a record may be, the likeliest first."""
    if described is not None and described.key == "tool":
        return []  # figures of a partition
    if described is not None and described.key == "scope/name":
        return [REGISTRY]
    found = []
    if key is not None and (described is None or described.key != "effect"):
        named = key.decode("utf-8", "replace")
        found = [named]
        if described is not None:
            try:
                found = [described.identity_in(named)]
            except (orjson.JSONDecodeError, IndexError, TypeError):
                found = [named]
    if described is not None and described.key == "effect":
        try:
            content = orjson.loads(value or b"")
            found.append(str(content[described.identity_field]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass
    return found
