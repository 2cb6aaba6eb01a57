"""Tool calls and token counts, as the libraries of model providers give them."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class ToolCall(NamedTuple):
    """What a model asks for. arguments: an object, or the text that the model wrote where it is no JSON object."""

    call_id: str
    function: str
    arguments: dict[str, Any] | str

    @classmethod
    def of(cls, call: Any) -> "ToolCall":
        """From a call of OpenAI's chat completions or responses, of Anthropic's, LangChain's or the AI SDK's.

        Objects and dictionaries are both taken. Raises TypeError, naming what is missing.
        """
        if isinstance(call, ToolCall):
            return call
        inner = _get(call, "function")
        named = call if inner is None or isinstance(inner, str) else inner
        call_id = _first(call, "call_id", "id", "toolCallId")
        function = inner if isinstance(inner, str) else _first(named, "name", "toolName")
        arguments = _first(named, "arguments", "input", "args")
        for what, found in (("an id", call_id), ("a function name", function)):
            if not isinstance(found, str) or not found:
                raise TypeError(f"a tool call of type {type(call).__name__}: expected {what}")
        if not isinstance(arguments, (str, Mapping, type(None))):
            raise TypeError(f"arguments of a tool call: {type(arguments).__name__}; expected an object or a text")
        return cls(call_id, function, _object(arguments))


def _object(arguments: Any) -> dict[str, Any] | str:
    """The object, parsed once: what is decided is what is handed back, however others read the text."""
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments or "{}")
            json.dumps(parsed, allow_nan=False)
        except (ValueError, RecursionError):
            return arguments
        return parsed if isinstance(parsed, dict) else arguments
    return dict(arguments or {})


def usage_of(usage: Any) -> dict[str, int] | None:
    """`input_tokens`, `output_tokens` of a usage of OpenAI's or Anthropic's; None where it has none."""
    counted = {
        "input_tokens": _first(usage, "input_tokens", "prompt_tokens"),
        "output_tokens": _first(usage, "output_tokens", "completion_tokens"),
    }
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counted.values()):
        return None
    return {name: int(count) for name, count in counted.items()}


def _get(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _first(thing: Any, *names: str) -> Any:
    return next((found for name in names if (found := _get(thing, name)) is not None), None)
