"""Chat completions: the object, and the chunks of a stream."""

from typing import Any

from endocrine.pipeline.gateway.openai.answers import Answer, arguments_text
from endocrine.pipeline.gateway.openai.port import Usage
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.server_sent_events import DONE, data


def completion(answer_id: str, model: str, created: int, answer: Answer) -> dict[str, Any]:
    """Return the object `chat.completion`; created: seconds since 1970."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text if answer.text or not answer.calls else None,
        "refusal": None,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = _calls(answer)
    return {
        "id": f"chatcmpl-{answer_id}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
        "usage": usage_of(answer.usage),
        "endocrine": dict(answer.facts),
    }


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return token counts as chat completions have them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


class ChatStream:
    """The chunks of one answer, as bytes: `start`, any number of `text`, then `finish` or `failure`."""

    def __init__(self, answer_id: str, model: str, created: int, *, include_usage: bool) -> None:
        self._head = {
            "id": f"chatcmpl-{answer_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._include_usage = include_usage

    def start(self) -> bytes:
        """Yield the chunk with the role."""
        return self._delta({"role": "assistant", "content": "", "refusal": None})

    def text(self, text: str) -> bytes:
        """Yield a piece of the content."""
        return self._delta({"content": text})

    def finish(self, answer: Answer) -> bytes:
        """Yield tool calls with indices from 0, the finish reason, the usage if asked for, and the mark of the end.

        The last chunk has the object `endocrine`.
        """
        parts: list[bytes] = []
        for index, call in enumerate(_calls(answer)):
            arguments = call["function"]["arguments"]
            empty = {**call["function"], "arguments": ""}
            parts.append(self._delta({"tool_calls": [{"index": index, **call, "function": empty}]}))
            parts.append(self._delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))
        facts = {"endocrine": dict(answer.facts)}
        parts.append(self._delta({}, answer.finish, {} if self._include_usage else facts))
        if self._include_usage:
            parts.append(data({**self._head, "choices": [], "usage": usage_of(answer.usage), **facts}))
        return b"".join([*parts, DONE])

    def failure(self, refused: Refused) -> bytes:
        """Yield an error after the headers: clients raise it, and read no further."""
        return data({"error": refused.error()})

    def _delta(self, delta: dict[str, Any], finish: str | None = None, more: dict[str, Any] | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._include_usage else {}
        return data({**self._head, "choices": [choice], **usage, **(more or {})})


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": arguments_text(call)}}
        for call in answer.calls
    ]
