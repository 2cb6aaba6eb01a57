"""Recent ids: a producer that retries writes one record twice, and the second must change nothing.

Watermarks recognise copies of what we wrote ourselves; they cannot know a foreign producer's retries, which lie at new
offsets with the id repeated. So beside the state of a key are short hashes of the last ids applied to it, with a hash
of the content: the same id with the same content is a copy, with other content a conflict.
"""

import hashlib
from typing import Any

import orjson

from endocrine.agents.contract import State
from endocrine.pipeline.core.compact_json import exact

RECENT = 32
"""Ids kept per key: retries come within seconds of the first try, and memory per key stays constant."""
_ID_LENGTH, _CONTENT_LENGTH = 12, 6


def token(topic: str, name: str, key: bytes | None, value: bytes | None) -> str:
    """Return the id's hash followed by the content's, in hexadecimal (48 and 24 bits). value: in clear, so that a
    retry counts as one under whichever key.

    An id is its identity's own: where one state holds several identities', equal ids of two are no conflict.
    """
    whose = b"\0".join((topic.encode(), key or b"", name.encode()))
    named = hashlib.blake2b(whose, digest_size=_ID_LENGTH // 2).hexdigest()
    return named + hashlib.blake2b(value or b"", digest_size=_CONTENT_LENGTH // 2).hexdigest()


def conflicts(mine: str, recent: list[str]) -> bool:
    """Return whether the id was applied with other content."""
    return any(known[:_ID_LENGTH] == mine[:_ID_LENGTH] and known != mine for known in recent)


def pack(state: State, recent: list[str]) -> bytes | None:
    """Return state and recent ids as stored; None (a tombstone) for a finished key."""
    return None if state is None else exact([state, "".join(recent)])


def unpack(stored: bytes | None) -> tuple[State, list[str]]:
    """Return state and recent ids from what was stored."""
    if stored is None:
        return None, []
    state, joined = orjson.loads(stored)
    size = _ID_LENGTH + _CONTENT_LENGTH
    recent: list[Any] = [joined[place : place + size] for place in range(0, len(joined), size)]
    return state, recent
