"""What an application gave with a turn that we answer: conversation, functions, wishes (doors, section 2).

Kept in the turn under `application` (`state.Given`), absent where it gave none of it.

An observed turn is decided and recorded like any other, and nothing of it is changed: what goes to the model is what
the application gave, and calls that are no tool of ours are passed on whatever was decided.
"""

from typing import TYPE_CHECKING, Any

import orjson

from endocrine.agents._shared.normalise import visible
from endocrine.agents.conversation.images import with_images
from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.rules import Limits
from endocrine.agents.conversation.state import Given, Json, Turn
from endocrine.schemas.application import Message
from endocrine.schemas.interactions import Opened
from endocrine.schemas.vocabulary import Stream

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_SYSTEM = ("system", "developer")
_SAFETY = ("temperature", "top_p")
"""Numbers with a safety direction, the lower the tighter; max_output_tokens is a third, and bounded apart."""
_ONCE = ("none", "auto")
"""Choices of tools that hold for every step; one that forces a call would force it again after its result."""


def given(opened: Opened, policy: "Policy") -> Given | None:
    """Return what the application gave with a turn; None where it gave nothing."""
    parts = (opened.messages, opened.application_tools or None, opened.asked, opened.door)
    if opened.enforce is not False and all(part is None for part in parts):
        return None
    rules = policy.document.applications.of(opened.client)
    messages = None if opened.messages is None else _with_prompt(opened)
    functions = [one.model_dump() for one in opened.application_tools or ()]
    return {
        "messages": messages,
        "functions": functions,
        "asked": None if opened.asked is None else opened.asked.model_dump(exclude_none=True),
        "enforce": opened.enforce is not False,
        "door": opened.door,
        "client": opened.client,
        "stream": _stream(opened, rules.stream),
        "judged": _judged(opened, rules.judge_history),
        "chars": len(orjson.dumps([messages, functions])),
        "granted": 0,
    }


def _stream(opened: Opened, wanted: Stream) -> Stream | None:
    """How the answer is streamed: door `http` sends a stream's answer as one piece, so that it may be vetoed."""
    if opened.door == "openai":
        # An answer that is taken whole needs no window, and so has a veto.
        return "buffered" if opened.streamed is False else wanted
    return "buffered" if opened.door == "http" else None


def continued(given: Given, streamed: bool, policy: "Policy") -> Given:
    """Return what the application gave, with how its client takes the answer from here on."""
    wanted = policy.document.applications.of(given["client"]).stream
    return {**given, "stream": wanted if streamed else "buffered"}


def messages_of(turn: Turn) -> list[Json] | None:
    """Return the conversation that the application gave with a turn, or null."""
    given = turn.get("application")
    return None if given is None else given["messages"]


def functions_declared(turn: Turn) -> list[Json]:
    """Return the functions that the application declared."""
    given = turn.get("application")
    return [] if given is None else given["functions"]


def wishes(turn: Turn) -> Json:
    """Return the parameters that the application asked for; empty where it asked for none."""
    given = turn.get("application")
    return {} if given is None else given["asked"] or {}


def observed(turn: Turn) -> bool:
    """Return whether nothing of the turn may be changed."""
    given = turn.get("application")
    return given is not None and not given["enforce"]


def windowed(turn: Turn) -> bool:
    """Return whether the answer leaves while it comes: then there is no veto."""
    given = turn.get("application")
    return given is not None and given["stream"] == "windowed"


def declares(turn: Turn, function: str) -> bool:
    """Return whether the application declared a function of this name."""
    return any(one["name"] == function for one in functions_declared(turn))


def functions_of(turn: Turn) -> list[Json]:
    """Return the application's functions that the model is offered: those in force; of an observed turn, all."""
    names = in_force(turn).get("application_tools", ())
    everything = observed(turn)
    return [
        {"type": "function", "function": one} for one in functions_declared(turn) if everything or one["name"] in names
    ]


def wished(turn: Turn, parameters: Json) -> Json:
    """Return the parameters with the tighter of wish and modulation, where there is a tighter one."""
    asked = wishes(turn)
    return {**parameters, **{name: min(parameters[name], asked[name]) for name in _SAFETY if name in asked}}


def most_tokens(turn: Turn, most: int) -> int:
    """Return the bound of the answer: the lower of wish and modulation; of an observed turn, any wish."""
    asked: int | None = wishes(turn).get("max_output_tokens")
    if asked is None:
        return most
    return asked if observed(turn) else min(asked, most)


def stops(turn: Turn, own: list[str]) -> list[str]:
    """Return the stop sequences, the style's first, at most four."""
    return list(dict.fromkeys([*own, *(wishes(turn).get("stop") or ())]))[:4]


def passed_on(turn: Turn, tools: list[Json], api: str) -> tuple[Json, list[str]]:
    """Return what is passed on of the wishes besides the sampling, and names of what the API does not take."""
    asked = wishes(turn)
    names = ("seed", "response_format", "tool_choice", "parallel_tool_calls")
    sent = {name: asked[name] for name in names if name in asked}
    if not tools:  # servers refuse both where no tool is offered
        sent.pop("tool_choice", None)
        sent.pop("parallel_tool_calls", None)
    elif "tool_choice" in sent and not _may_choose(turn, sent["tool_choice"], tools):
        del sent["tool_choice"]
    dropped = [name for name in sent if name == "seed" and api == "responses"]
    return {name: value for name, value in sent.items() if name not in dropped}, dropped


def as_asked(turn: Turn, tools: list[Json]) -> Json:
    """Return the parameters of an observed turn: those that the application asked for."""
    asked = wishes(turn)
    sampling = ("temperature", "top_p", "max_output_tokens", "reasoning_effort", "stop")
    return {**{name: asked[name] for name in sampling if name in asked}, **passed_on(turn, tools, "chat")[0]}


def _may_choose(turn: Turn, choice: Any, tools: list[Json]) -> bool:
    """Whether a choice of tools can hold: only once where it forces a call, and of what is offered."""
    if choice in _ONCE:
        return True
    if turn["exchange"]:
        return False
    if isinstance(choice, str):
        return True
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, dict) else None
    return name is None or any(tool["function"]["name"] == name for tool in tools)


def _with_prompt(opened: Opened) -> list[Json]:
    """The conversation as chat completions have it; it ends with the prompt where it does not hold it."""
    messages = [_chat(message) for message in opened.messages or ()]
    last = next((one for one in reversed(messages) if one["role"] == "user"), None)
    ends = last is not None and last["content"] == opened.prompt
    if opened.images:
        messages = with_images(messages, opened.images)
    return messages if ends else [*messages, {"role": "user", "content": opened.prompt}]


def _chat(message: Message) -> Json:
    chat: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        chat["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": call.arguments
                    if isinstance(call.arguments, str)
                    else orjson.dumps(call.arguments).decode(),
                },
            }
            for call in message.tool_calls
        ]
    for name in ("tool_call_id", "name"):
        if (value := getattr(message, name)) is not None:
            chat[name] = value
    return chat


def _judged(opened: Opened, history: bool) -> str | None:
    """What is judged as input besides the prompt: from the last user message on, or all (`judge_history`)."""
    messages = list(opened.messages or ())
    if not history:
        last = max((at for at, one in enumerate(messages) if one.role == "user"), default=0)
        messages = messages[last:]
    texts = [one.content for one in messages if one.content and one.content != opened.prompt]
    return "\n".join(texts) or None


def system_texts(turn: Turn) -> list[str]:
    """Return the application's own instructions, which are joined to ours."""
    return [one["content"] for one in messages_of(turn) or () if one["role"] in _SYSTEM and one["content"]]


def conversation(turn: Turn) -> list[Json] | None:
    """Return the conversation without its instructions, or null; of an observed turn, all of it."""
    messages = messages_of(turn)
    if messages is None or observed(turn):
        return messages
    return [one for one in messages if one["role"] not in _SYSTEM]


def output_of(text: str, turn: Turn, limits: Limits) -> str:
    """Return a result's text as the model is shown it: without hidden marks and cut; of an observed turn, as given."""
    shown = text if observed(turn) else visible(text)
    most = limits.application_output_chars
    return shown if len(shown) <= most else shown[:most] + "[truncated]"
