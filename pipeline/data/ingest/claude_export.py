"""Format `claude-export`: conversations.json of a Claude.ai data export, or a single conversation.

A conversation is a list `chat_messages`. Newer exports name each message's parent, so that retried and edited messages
lie on other branches; the branch of `current_leaf_message_uuid`, else of the latest leaf, is what the person sees.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from endocrine.pipeline.data.ingest.conversations import branch_to, conversations, latest_leaf, session_of
from endocrine.pipeline.data.ingest.dialogue import Dialogue
from endocrine.pipeline.data.ingest.model import Noted, Options, Pieces, Refused
from endocrine.pipeline.data.ingest.values import kind_of, object_or_empty, parse_time, text_or_none

EXPECTED = "a conversation of a Claude.ai export, a JSON object with a list `chat_messages`"
ROOT = "00000000-0000-4000-8000-000000000000"
"""What the first message names as its parent."""
NON_TEXT_BLOCKS = {
    "thinking": "thinking",
    "tool_use": "tool_use",
    "tool_result": "tool_result",
    "token_budget": "token budget",
    "image": "image",
    "document": "document",
    "flag": "flag",
}
"""Blocks without text of the chat, by the name they are counted under; others are `other block`."""
TEXT_BLOCKS = frozenset({"text", "voice_note"})
"""Blocks whose `text` is of the chat; that of a voice note is its transcription."""
_UNSUPPORTED = re.compile(r"\s*```\s*\n?This block is not supported on your current device yet\.\s*\n?```\s*")
"""What `text` holds in place of a tool's block."""
_THINKING = re.compile(r"<antThinking>.*?</antThinking>\s*", re.DOTALL)


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """Yield the turns of each conversation, conversation by conversation as the file has them."""
    for item in conversations(stream, name, "chat_messages", list, EXPECTED):
        if isinstance(item, Noted | Refused):
            yield item
        else:
            yield from _conversation(*item, options.start_ts)


def _conversation(where: str, conversation: dict[str, Any], digest: str, start_ts: float) -> Pieces:
    session = session_of(conversation, ("uuid", "id"), digest)
    created = parse_time(conversation.get("created_at"))
    dialogue = Dialogue(session, start_ts if created is None else created)
    messages: list[Any] = conversation["chat_messages"]
    shown, problem = _shown_branch(messages, conversation.get("current_leaf_message_uuid"))
    if problem is not None:
        yield Refused(where, problem)
    if len(shown) < len(messages):
        yield from [Noted("message of another branch")] * (len(messages) - len(shown))
    for index in shown:
        yield from _message(f"{where}, message {index + 1}", session, index, messages[index], dialogue)
    yield from dialogue.end()


def _shown_branch(messages: list[Any], current: Any) -> tuple[list[int], str | None]:
    """Return the places of the messages that the person sees, in order, and what is wrong with the tree."""
    places = {
        uuid: index
        for index, message in enumerate(messages)
        if (uuid := text_or_none(object_or_empty(message).get("uuid"))) is not None
    }
    parents = {uuid: text_or_none(messages[index].get("parent_message_uuid")) for uuid, index in places.items()}
    unnamed = sorted(set(range(len(messages))) - set(places.values()))
    in_order = list(range(len(messages)))
    if sum(parent is None for parent in parents.values()) > 1 or any(_is_message(messages[i]) for i in unnamed):
        return in_order, None  # the tree is not whole: the order is all there is to go by
    leaf = current if isinstance(current, str) and current in places else None
    leaf = leaf or latest_leaf(parents, lambda uuid: _made(messages[places[uuid]]))
    branch = branch_to(parents, leaf) if places else []
    if isinstance(branch, str):
        return in_order, branch
    shown = [places[uuid] for uuid in branch]
    shown = sorted([*shown, *unnamed]) if unnamed else shown
    first = branch[0] if branch else ""
    if first and parents[first] not in (ROOT, None) and len(shown) < len(messages):
        return shown, f"the parent of message {places[first] + 1} is not there; expected it in `chat_messages`"
    return shown, None


def _is_message(found: Any) -> bool:
    return object_or_empty(found).get("sender") in ("human", "assistant")


def _made(message: Any) -> float:
    ts = parse_time(message.get("created_at"))
    return -1.0 if ts is None else ts


def _message(where: str, session: str, index: int, message: Any, dialogue: Dialogue) -> Pieces:
    sender = object_or_empty(message).get("sender")
    if sender not in ("human", "assistant"):
        found = f"`sender` is {kind_of(sender)}" if isinstance(message, dict) else f"is {kind_of(message)}"
        yield Refused(where, f"{found}; expected an object with `sender` human or assistant")
        yield from dialogue.refuse()
        return
    texts: list[str] = []
    for piece in _texts(where, message):
        if isinstance(piece, str):
            texts.append(piece)
            continue
        yield piece
        if isinstance(piece, Refused):
            yield from dialogue.refuse()
            return
    if sender == "human" and not texts:
        texts = _pasted(message)
    text = "\n\n".join(texts)
    ts = parse_time(message.get("created_at"))
    if sender == "human":
        uuid = text_or_none(message.get("uuid")) or f"message-{index + 1}"
        yield from dialogue.prompt(where, f"{session}\0{uuid}", text, ts)
    elif text:
        yield from dialogue.reply(text, ts, text_or_none(message.get("model")))


def _texts(where: str, message: dict[str, Any]) -> Iterator[str | Noted | Refused]:
    """Yield the texts of a message: its text blocks, or `text` where there are none."""
    content = message.get("content")
    if not isinstance(content, list | str | None):
        yield Refused(where, f"`content` is {kind_of(content)}; expected a list of blocks")
        return
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    found = False
    for block in blocks:
        kind = object_or_empty(block).get("type")
        text = block.get("text") if isinstance(kind, str) and kind in TEXT_BLOCKS else None
        if isinstance(text, str):
            found = found or bool(text.strip())
            yield from filter(str.strip, [_THINKING.sub("", text)])
        else:
            yield Noted(NON_TEXT_BLOCKS.get(kind, "other block") if isinstance(kind, str) else "other block")
    plain = message.get("text")
    if not found and isinstance(plain, str):
        yield from filter(str.strip, [_THINKING.sub("", _UNSUPPORTED.sub("\n\n", plain)).strip()])
    elif not found and not blocks and plain is not None:
        yield Refused(where, f"`text` is {kind_of(plain)}; expected a string")
    for attached in _files(message):
        yield Noted(attached)


def _files(message: dict[str, Any]) -> list[str]:
    """Name what was attached, once for each file: `files_v2` repeats `files`."""
    attachments, files, newer = (
        len(found) if isinstance(found := message.get(key), list) else 0 for key in ("attachments", "files", "files_v2")
    )
    return ["attachment"] * attachments + ["file"] * max(files, newer)


def _pasted(message: dict[str, Any]) -> list[str]:
    """Return long text that was pasted: the page makes an attachment of it, and the prompt itself may be empty."""
    attachments = message.get("attachments")
    return [
        text
        for one in map(object_or_empty, attachments if isinstance(attachments, list) else [])
        if (text := text_or_none(one.get("extracted_content"))) is not None
        and (not one.get("file_name") or str(one["file_name"]).lower().startswith("paste"))
    ]
