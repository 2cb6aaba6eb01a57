"""What real clients show of each case of the OpenAI-compatible endpoint, as the table of docs/openai.md.

`tests/clients/shown.json` has it as `make clients-test` found it: client, case, mode ("chat whole"), text.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CASES = {
    "hello": "plain answer",
    "allowed tool": "allowed tool",
    "forbidden tool": "forbidden tool",
    "weather": "both in one reply",
    "all denied": "all of several denied",
    "withheld": "answer withheld",
    "blocked prompt": "prompt blocked",
    "budget": "budget spent",
    "rate": "rate limited",
    "no decision": "decision late",
    "model error": "model failed",
    "late failure": "failure after headers",
}
"""Prompt of the scripted turns, to the case's name."""
CLIENTS = ("openai-python", "openai-node", "agents-sdk", "langchain", "langchain-js", "ai-sdk")
FILE = Path(__file__).resolve().parents[1] / "clients" / "shown.json"
MOST_CHARS = 40
LABEL = "[scripted] "
Shown = Mapping[str, Mapping[str, Mapping[str, str]]]


def modes_of_openai(client: Any, prompt: str) -> dict[str, str]:
    """What openai-python shows of a prompt, by mode. client: a blocking one, with no retries."""
    import openai

    tool = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}

    def chat(mode: str) -> str:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        tools = [{"type": "function", "function": tool}]
        while True:
            asked = {"model": "small", "messages": messages, "tools": tools}
            if mode == "helper":
                with client.chat.completions.stream(**asked) as events:
                    message = events.get_final_completion().choices[0].message.model_dump(exclude_none=True)
            elif mode == "stream":
                message = _joined(client.chat.completions.create(**asked, stream=True))
            else:
                message = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)
            calls = message.get("tool_calls")
            if not calls:
                return str(message["content"])
            messages.append(message)
            messages += [{"role": "tool", "tool_call_id": one["id"], "content": "rain"} for one in calls]

    def responses(mode: str) -> str:
        items: list[Any] = [{"role": "user", "content": prompt}]
        tools = [{"type": "function", "strict": False, **tool}]
        while True:
            asked = {"model": "small", "input": items, "tools": tools}
            if mode == "stream":
                with client.responses.stream(**asked) as events:
                    response = events.get_final_response()
            else:
                response = client.responses.create(**asked)
            calls = [one for one in response.output if one.type == "function_call"]
            if not calls:
                return str(response.output_text)
            items += [one.model_dump(exclude_none=True) for one in calls]
            items += [{"type": "function_call_output", "call_id": one.call_id, "output": "rain"} for one in calls]

    found = {}
    asking = [(chat, "whole"), (chat, "stream"), (chat, "helper"), (responses, "whole"), (responses, "stream")]
    for ask, mode in asking:
        try:
            shown = text_shown(ask(mode))
        except openai.OpenAIError as error:
            shown = " ".join(filter(None, (type(error).__name__, getattr(error, "code", None))))
        found[f"{ask.__name__} {mode}"] = shown
    return found


def _joined(chunks: Iterable[Any]) -> dict[str, Any]:
    """The message of a stream."""
    text, calls = "", dict[int, dict[str, Any]]()
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for one in choice.delta.tool_calls or ():
                call = calls.setdefault(one.index, {"id": one.id, "type": "function", "function": {"arguments": ""}})
                if one.function.name:
                    call["function"]["name"] = one.function.name
                call["function"]["arguments"] += one.function.arguments or ""
    return {"role": "assistant", "content": text, **({"tool_calls": list(calls.values())} if calls else {})}


def unlabelled(text: str) -> str:
    """A text without what a scripted model begins each of its own with."""
    return text.removeprefix(LABEL)


def text_shown(text: str) -> str:
    """A text as the table shows it: in quotes, cut where it is long."""
    text = unlabelled(text)
    return f'"{text if len(text) <= MOST_CHARS else text[: MOST_CHARS - 1].rstrip() + "…"}"'


def load(path: Path = FILE) -> Shown:
    """What was found."""
    found: Shown = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(shown: Shown) -> list[str]:
    """Lines of the table: a row for each case, a column for each client; modes apart where they differ."""
    lines = ["| case | " + " | ".join(CLIENTS) + " |", "|---" * (len(CLIENTS) + 1) + "|"]
    for prompt, case in CASES.items():
        cells = [_cell(shown.get(client, {}).get(prompt, {})) for client in CLIENTS]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return lines


def _cell(modes: Mapping[str, str]) -> str:
    by_shown: dict[str, list[str]] = {}
    for mode, found in modes.items():
        by_shown.setdefault(found, []).append(mode)
    if len(by_shown) < 2:
        return next((_code(one) for one in by_shown), "")
    return "; ".join(f"{', '.join(modes)}: {_code(found)}" for found, modes in by_shown.items())


def _code(found: str) -> str:
    return found if found.startswith('"') else " ".join(f"`{part}`" for part in found.split(" ", 1))
