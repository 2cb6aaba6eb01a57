"""What a message or a delta says: text, refusal, reasoning, in every form that servers give it.

Content is a text, or a list of blocks (Mistral's Magistral, Anthropic's compatible endpoints, LiteLLM); reasoning is a
field beside it (`reasoning_content`: DeepSeek, vLLM, llama.cpp, LM Studio; `reasoning`: OpenRouter, Groq, Ollama,
newer vLLM; `thinking_blocks`: LiteLLM, which repeats `reasoning_content`) or a block of its own.
"""

from collections.abc import Mapping
from typing import Any

from endocrine.pipeline.connectors.model.failures import Malformed
from endocrine.pipeline.connectors.model.json_values import kind, optional_text
from endocrine.pipeline.connectors.model.outcome import Draft

_TEXT = frozenset({"text", "output_text", "input_text"})
_REASONING = frozenset({"thinking", "reasoning", "reasoning_text", "redacted_thinking", "summary_text"})
_BESIDE = frozenset({"reference", "citation", "citations", "annotation", "signature"})
"""Blocks that point at sources; the text goes on around them."""
_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details", "thinking_blocks")
"""Names of reasoning beside the content. Where several are given they repeat each other: the first counts."""


def add_message(draft: Draft, message: Mapping[str, Any]) -> None:
    """Take in a message or a delta, tool calls aside. Raises Malformed, TooLarge."""
    _content(draft, message.get("content"))
    draft.refuse(optional_text(message.get("refusal"), "refusal"))
    for name in _FIELDS:
        if (chars := _chars(message.get(name))) > 0:
            draft.reasoning_chars += chars
            break


def _content(draft: Draft, content: Any) -> None:
    if content is None:
        return
    if isinstance(content, str):
        draft.text(content)
        return
    blocks = [content] if isinstance(content, Mapping) else content
    if not isinstance(blocks, list):
        raise Malformed(f"`content` is {kind(content)}, expected a text or a list of blocks")
    for block in blocks:
        add_block(draft, block)


def add_block(draft: Draft, block: Any) -> None:
    """Take in one block of content."""
    if not isinstance(block, Mapping):
        raise Malformed(f"a block of `content` is {kind(block)}, expected an object")
    form = block.get("type")
    if form is not None and not isinstance(form, str):
        raise Malformed(f"the type of a block of `content` is {kind(form)}, expected a text")
    if form in _TEXT or (form is None and "text" in block):
        text = block.get("text")
        if isinstance(text, Mapping) and "value" not in text:
            raise Malformed("`content.text` is an object without `value`")
        # The Assistants API has {"value": ...} here, and some proxies took that over.
        draft.text(optional_text(text.get("value") if isinstance(text, Mapping) else text, "content.text"))
    elif form == "refusal":
        draft.refuse(optional_text(block.get("refusal"), "content.refusal"))
    elif form in _REASONING:
        draft.reasoning_chars += _chars([block])
    elif form not in _BESIDE:
        raise Malformed("a block of `content` is of a type that is no text")


def _chars(given: Any, depth: int = 4) -> int:
    """Characters of reasoning in a text, or in blocks of it."""
    if isinstance(given, str):
        return len(given)
    if depth == 0:
        return 0
    if isinstance(given, list):
        return sum(_chars(one, depth - 1) for one in given)
    if isinstance(given, Mapping):
        names = ("thinking", "text", "reasoning", "content", "summary")
        return next((chars for name in names if (chars := _chars(given.get(name), depth - 1))), 0)
    return 0


def reasoning_chars(given: Any) -> int:
    """Return the characters of reasoning in an item of the Responses API."""
    return _chars(given)
