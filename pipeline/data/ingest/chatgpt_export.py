"""Format `chatgpt-export`: conversations.json of a ChatGPT data export, a shard of it, or a single conversation.

A conversation is a tree (`mapping` of nodes with `parent`); what was edited or regenerated lies on other branches. The
branch from `current_node` up to the root is what the person sees, and all that is read.
"""

from typing import Any, BinaryIO

from endocrine.pipeline.data.ingest.chatgpt_message import Document, Message, read_message
from endocrine.pipeline.data.ingest.conversations import branch_to, conversations, latest_leaf, session_of
from endocrine.pipeline.data.ingest.dialogue import Dialogue
from endocrine.pipeline.data.ingest.model import Noted, Options, Pieces, Refused
from endocrine.pipeline.data.ingest.values import object_or_empty, parse_time, text_or_none

EXPECTED = "a conversation of a ChatGPT export, a JSON object with `mapping` and `current_node`"


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """Yield the turns of each conversation's current branch, conversation by conversation as the file has them."""
    for item in conversations(stream, name, "mapping", dict, EXPECTED):
        if isinstance(item, Noted | Refused):
            yield item
        else:
            yield from _conversation(*item, options.start_ts)


def _conversation(where: str, conversation: dict[str, Any], digest: str, start_ts: float) -> Pieces:
    session = session_of(conversation, ("conversation_id", "id"), digest)
    mapping: dict[str, Any] = conversation["mapping"]
    parents = _parents(mapping)
    current = conversation.get("current_node")
    if mapping and not (isinstance(current, str) and current in mapping):
        yield Noted("current_node missing")
        current = latest_leaf(parents, lambda node: _made(mapping[node]))
    branch = branch_to(parents, current) if mapping else []
    if isinstance(branch, str):
        yield Refused(where, branch)
        return
    if branch and (parent := parents[branch[0]]) is not None:
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
    latest: Message | Document | None = None
    for piece in read_message(where, message):
        if isinstance(piece, Message | Document):
            latest = piece
        else:
            yield piece
            if isinstance(piece, Refused):
                yield from dialogue.refuse()
                return
    if isinstance(latest, Document):
        dialogue.document(latest.text, latest.ts)
    elif latest is not None and latest.by_user:
        yield from dialogue.prompt(where, source_id, latest.text, latest.ts)
    elif latest is not None:
        yield from dialogue.reply(latest.text, latest.ts, latest.model)


def _parents(mapping: dict[str, Any]) -> dict[str, str | None]:
    """Map each node to its parent; where a node does not name it, to the one that names it as a child."""
    by_child = {
        child: node_id
        for node_id, node in mapping.items()
        if isinstance(children := object_or_empty(node).get("children"), list)
        for child in children
        if isinstance(child, str)
    }
    return {
        node_id: text_or_none(node["parent"]) if isinstance(node, dict) and "parent" in node else by_child.get(node_id)
        for node_id, node in mapping.items()
    }


def _made(node: Any) -> float:
    ts = parse_time(object_or_empty(object_or_empty(node).get("message")).get("create_time"))
    return -1.0 if ts is None else ts
