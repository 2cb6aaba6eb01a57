"""The messages of a model request, in the shape of chat completions.

Order, with the stable part first so that a provider's prompt cache can hold it: one system message (base, preamble of
the prompt style, snippets, context pack: many servers refuse a second one), history (user and assistant by turns),
prompt (user), then the model's tool calls and their outputs. Where the application gave the conversation, that comes
in place of history and prompt, and its own instructions follow the preamble in the system message; of an observed turn
nothing of ours is added. Only sentences of the policy are instructions: snippets,
context and tool outputs are inside JSON strings, under a sentence that calls them data, so nothing in them can end its
frame.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from endocrine.agents._shared.normalise import visible
from endocrine.agents.conversation import application
from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.rules import Words
from endocrine.agents.conversation.state import Answered, Call, Json, Row, Turn
from endocrine.agents.policy.functions import functions_of as allowed_functions

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

Message = dict[str, Any]


def messages_of(turn: Turn, history: Sequence[Row], concise: bool, policy: "Policy") -> list[Message]:
    """Return the messages of a request. history: `Answered` of the session, oldest first."""
    words, observed = policy.document.conversation.words, application.observed(turn)
    style = getattr(policy.document.prompt_styles, in_force(turn)["style"])
    base = policy.document.system_base
    system = [base, style.system_preamble] if base else [style.system_preamble]
    if observed:
        system = []
    if turn["strictly"]:
        system.append(words.stricter)
    if concise:
        system.append(words.concise)
    if not observed:
        system += application.system_texts(turn)
    if turn["snippets"]:
        lines = [orjson.dumps({"source": source, "text": text}).decode() for source, text in turn["snippets"]]
        system.append("\n".join([words.snippets, *lines]))
    if turn["context"]:
        system.append("\n".join([words.context, orjson.dumps(turn["context"]).decode()]))
    messages: list[Message] = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    if (given := application.conversation(turn)) is not None:
        return [*messages, *given, *turn["exchange"]]
    for row in history:
        entry = Answered(*row)
        if entry.serial <= turn["upto"]:
            messages.append({"role": "user", "content": entry.prompt})
            messages.append({"role": "assistant", "content": entry.answer})
    return [*messages, {"role": "user", "content": turn["prompt"]}, *turn["exchange"]]


def shown_to_model(message: Message) -> Message:
    """Return the message without what is hidden in invisible characters: a model reads what people cannot see."""
    content, calls = message.get("content"), message.get("tool_calls")
    seen = message
    if isinstance(content, str):
        seen = {**message, "content": visible(content)}
    elif isinstance(content, list):  # images among texts
        blocks = [{**one, "text": visible(one["text"])} if one["type"] == "text" else one for one in content]
        seen = {**message, "content": blocks}
    if not calls:
        return seen
    functions = [{**call["function"], "arguments": visible(call["function"]["arguments"])} for call in calls]
    return {**seen, "tool_calls": [{**call, "function": one} for call, one in zip(calls, functions, strict=True)]}


def functions_of(allowlist: Sequence[str], policy: "Policy") -> list[Json]:
    """Return the functions of the tools in force, in the allowlist's order, as chat completions names them."""
    return [{"type": "function", "function": function} for function in allowed_functions(allowlist, policy)]


def exchange_of(content: str | None, calls: Sequence[Call], contents: Sequence[str]) -> list[Message]:
    """Return the model's calls of one step and, in their order, the output of each."""
    asked = [
        {
            "id": call["short"],
            "type": "function",
            "function": {"name": call["tool"], "arguments": call["arguments"]},
        }
        for call in calls
    ]
    answers = [
        {"role": "tool", "tool_call_id": call["short"], "content": text}
        for call, text in zip(calls, contents, strict=True)
    ]
    return [{"role": "assistant", "content": content, "tool_calls": asked}, *answers]


def framed(tool: str, status: str, output: str, words: Words) -> str:
    """Return a tool's output as the model sees it: a JSON object that says it is data."""
    return orjson.dumps({"tool": tool, "status": status, "note": words.tool_output, "output": output}).decode()


def text_of(output: Any) -> str:
    """Return a tool's output as text: a string as it is, anything else as JSON."""
    if output is None:
        return ""
    return output if isinstance(output, str) else orjson.dumps(output).decode()


def snippets_of(output: Any) -> list[tuple[str, str]]:
    """Return (source, text) of the retrieval tool's output, a list or an object with one; others are left out."""
    found = output
    if isinstance(output, Mapping):
        found = next((output[name] for name in ("snippets", "results", "hits") if name in output), None)
    if not isinstance(found, list):
        return []
    snippets = []
    for entry in found:
        if not isinstance(entry, Mapping):
            continue
        text = entry.get("text") or entry.get("snippet") or entry.get("content")
        source = entry.get("source") or entry.get("name") or entry.get("title")
        if isinstance(text, str) and text.strip():
            snippets.append((source if isinstance(source, str) else "unnamed", text))
    return snippets
