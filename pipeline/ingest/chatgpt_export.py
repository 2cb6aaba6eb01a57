"""Format `chatgpt-export`: conversations.json of a ChatGPT data export, or a single conversation of it.

A conversation is a tree (`mapping` of nodes with `parent`); what was edited or regenerated lies on other branches. The
branch from `current_node` up to the root is what the person sees, and all that is read.
"""

import hashlib
from typing import Any, BinaryIO

import orjson

from pipeline.ingest.chatgpt_message import Said, read_message
from pipeline.ingest.dialogue import Dialogue
from pipeline.ingest.json_items import json_items
from pipeline.ingest.model import Noted, Options, Pieces, Refused
from pipeline.ingest.source import kind_of, parse_time

NOUN = "conversation"
EXPECTED = "a conversation of a ChatGPT export, a JSON object with `mapping` and `current_node`"


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """The turns of each conversation's current branch, conversation by conversation as the file has them."""
    for item in json_items(stream, name, NOUN):
        if isinstance(item, Refused):
            yield item
            continue
        number, raw = item
        where = f"{name}: {NOUN} {number}"
        try:
            conversation = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield Refused(where, f"is not JSON ({error.msg} at byte {error.pos + 1} of it); expected {EXPECTED}")
            continue
        if isinstance(conversation, dict) and isinstance(conversation.get("mapping"), dict):
            yield from _conversation(where, conversation, raw, options.start_ts)
        else:
            found = "has no object `mapping`" if isinstance(conversation, dict) else f"is {kind_of(conversation)}"
            yield Refused(where, f"{found}; expected {EXPECTED}")


def _conversation(where: str, conversation: dict[str, Any], raw: bytes, start_ts: float) -> Pieces:
    session = next((v for k in ("conversation_id", "id") if isinstance(v := conversation.get(k), str) and v), None)
    session = session or f"conversation-{hashlib.sha256(raw).hexdigest()[:24]}"
    mapping: dict[str, Any] = conversation["mapping"]
    current = conversation.get("current_node")
    if mapping and not (isinstance(current, str) and current in mapping):
        yield Noted("current_node missing")
        current = _latest_leaf(mapping)
    branch = _branch(mapping, current) if mapping else []
    if isinstance(branch, str):
        yield Refused(where, branch)
        return
    if branch and (parent := _parent(mapping[branch[0]])) is not None:
        problem = f"its parent {parent[:80]!r} is not in `mapping`; expected it there: what came before is lost"
        yield Refused(f"{where}, node {branch[0][:80]}", problem)
    created = parse_time(conversation.get("create_time"))
    dialogue = Dialogue(session, start_ts if created is None else created)
    for node_id in branch:
        yield from _node(f"{where}, node {node_id[:80]}", f"{session}\0{node_id}", mapping[node_id], dialogue)
    yield from dialogue.end()


def _node(where: str, source_id: str, node: Any, dialogue: Dialogue) -> Pieces:
    message = node.get("message") if isinstance(node, dict) else node
    if isinstance(node, dict) and message is None:
        return
    said: Said | None = None
    for piece in read_message(where, message):
        if isinstance(piece, Said):
            said = piece
        else:
            yield piece
            if isinstance(piece, Refused):
                yield from dialogue.refuse()
                return
    if said is None:
        return
    if said.by_user:
        yield from dialogue.prompt(where, source_id, said.text, said.ts)
    else:
        yield from dialogue.reply(said.text, said.ts, said.model)


def _parent(node: Any) -> str | None:
    parent = node.get("parent") if isinstance(node, dict) else None
    return parent if isinstance(parent, str) and parent else None


def _branch(mapping: dict[str, Any], current: str | None) -> list[str] | str:
    """Node ids from the root, or as far up as parents are there, to `current`; or what is wrong."""
    branch: list[str] = []
    passed: set[str] = set()
    node = current
    while node is not None and node in mapping:
        if node in passed:
            return f"the parents of node {node[:80]!r} lead back to it; expected a tree"
        passed.add(node)
        branch.append(node)
        node = _parent(mapping[node])
    return branch[::-1] if branch else "every node is the parent of another; expected a tree with a last message"


def _latest_leaf(mapping: dict[str, Any]) -> str | None:
    """The leaf whose message was made last; the later one in the file where times are equal or missing."""
    parents = {_parent(node) for node in mapping.values()}
    leaves = [node_id for node_id in mapping if node_id not in parents]
    return max(reversed(leaves), key=lambda leaf: _made(mapping[leaf]), default=None)


def _made(node: Any) -> float:
    message = node.get("message") if isinstance(node, dict) else None
    ts = parse_time(message.get("create_time")) if isinstance(message, dict) else None
    return -1.0 if ts is None else ts
