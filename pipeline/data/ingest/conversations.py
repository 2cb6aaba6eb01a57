"""Exports that are a JSON array of conversations, and the tree of messages that a conversation is."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from endocrine.pipeline.data.ingest.json_items import json_items
from endocrine.pipeline.data.ingest.model import Noted, Refused
from endocrine.pipeline.data.ingest.tolerant import loads
from endocrine.pipeline.data.ingest.values import kind_of, text_or_none

NOUN = "conversation"


def conversations(
    stream: BinaryIO, name: str, key: str, kind: type, expected: str
) -> Iterator[tuple[str, dict[str, Any], str] | Noted | Refused]:
    """Yield (place, conversation, digest of its bytes) for each conversation, one at a time.

    key, kind: what a conversation must have. The file may hold an array, one conversation, or an object that wraps the
    array as `conversations`. One that cannot be read is refused by its number, those around it are kept.
    """
    for item in json_items(stream, name, NOUN):
        if isinstance(item, Refused):
            yield item
            continue
        number, raw = item
        where = f"{name}: {NOUN} {number}"
        try:
            found, repairs = loads(raw)
        except orjson.JSONDecodeError as error:
            yield Refused(where, f"is not JSON ({error.msg} at byte {error.pos + 1} of it); expected {expected}")
            continue
        yield from map(Noted, repairs)
        wrapped = found.get("conversations") if isinstance(found, dict) and key not in found else None
        if isinstance(wrapped, list) and wrapped:
            for inner, one in enumerate(wrapped, 1):
                yield _checked(f"{where}.{inner}", one, orjson.dumps(one), key, kind, expected)
        else:
            yield _checked(where, found, raw, key, kind, expected)


def _checked(
    where: str, found: Any, raw: bytes, key: str, kind: type, expected: str
) -> tuple[str, dict[str, Any], str] | Refused:
    if isinstance(found, dict) and isinstance(found.get(key), kind):
        return where, found, hashlib.sha256(raw).hexdigest()
    noun = kind_of(kind()).split()[-1]
    problem = f"has no {noun} `{key}`" if isinstance(found, dict) else f"is {kind_of(found)}"
    return Refused(where, f"{problem}; expected {expected}")


def session_of(conversation: Mapping[str, Any], keys: tuple[str, ...], digest: str) -> str:
    """Return the conversation's own id; without one, an id made of its bytes."""
    named = next((text for key in keys if (text := text_or_none(conversation.get(key)))), None)
    return named or f"conversation-{digest[:24]}"


def branch_to(parents: dict[str, str | None], leaf: str | None) -> list[str] | str:
    """Return the nodes from the root, or as far up as parents are there, to `leaf`; or say what is wrong."""
    branch: list[str] = []
    passed: set[str] = set()
    node = leaf
    while node is not None and node in parents:
        if node in passed:
            return f"the parents of node {node[:80]!r} lead back to it; expected a tree"
        passed.add(node)
        branch.append(node)
        node = parents[node]
    return branch[::-1] if branch else "every node is the parent of another; expected a tree with a last message"


def latest_leaf(parents: dict[str, str | None], made: Callable[[str], float]) -> str | None:
    """Return the leaf that was made last; the later one in the file where times are equal or missing."""
    inner = set(parents.values())
    return max((node for node in reversed(parents) if node not in inner), key=made, default=None)
