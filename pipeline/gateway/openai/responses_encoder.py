"""The Responses API: the object, and the events of a stream."""

from collections.abc import Mapping
from typing import Any

from endocrine.pipeline.gateway.openai.answer_headers import metadata_of
from endocrine.pipeline.gateway.openai.answers import Answer, arguments_text
from endocrine.pipeline.gateway.openai.parsed import ParsedRequest
from endocrine.pipeline.gateway.openai.port import ReplyCall, Usage
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.server_sent_events import event


class ResponseForm:
    """What every form of one response repeats of its request. created: seconds since 1970."""

    def __init__(self, answer_id: str, parsed: ParsedRequest, created: int, sent: Mapping[str, Any]) -> None:
        self._id = answer_id
        self._parsed = parsed
        self._created = created
        self._sent = sent

    def opened(self) -> dict[str, Any]:
        """Return the response before there is anything of it."""
        return self._form("in_progress", [], None, None)

    def completed(self, answer: Answer) -> dict[str, Any]:
        """Return the whole response. It is `completed` where the text was cut, too: clients raise on `incomplete`."""
        output = self.items(answer)
        details = {"reason": "max_output_tokens"} if answer.finish == "length" else None
        return self._form("completed", output, answer, details)

    def items(self, answer: Answer) -> list[dict[str, Any]]:
        """Return the output: a message where there is text, or nothing else; then the calls."""
        messages = [self.message(answer.text)] if answer.text or not answer.calls else []
        return [*messages, *(self.call(number, call) for number, call in enumerate(answer.calls))]

    def message(self, text: str | None) -> dict[str, Any]:
        """Return a message item; text: None while it is in progress."""
        content = [] if text is None else [text_part(text)]
        status = "in_progress" if text is None else "completed"
        return {
            "id": self.message_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    @property
    def message_id(self) -> str:
        """Id of the message item."""
        return f"msg_{self._id}"

    def call(self, number: int, call: ReplyCall, *, begun: bool = False) -> dict[str, Any]:
        """Return a call item; begun: it has no arguments yet."""
        return {
            "id": f"fc_{self._id}_{number}",
            "type": "function_call",
            "status": "in_progress" if begun else "completed",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": "" if begun else arguments_text(call),
        }

    def _form(
        self, status: str, output: list[dict[str, Any]], answer: Answer | None, details: dict[str, str] | None
    ) -> dict[str, Any]:
        parsed, echo, sent = self._parsed, self._parsed.echo, self._sent
        effort = sent.get("reasoning_effort", parsed.asked.get("reasoning_effort"))
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": details,
            "instructions": echo.get("instructions"),
            "max_output_tokens": sent.get("max_output_tokens", parsed.asked.get("max_output_tokens")),
            "metadata": {**parsed.metadata, **(metadata_of(answer.facts) if answer is not None else {})},
            "model": parsed.model,
            "output": output,
            "parallel_tool_calls": parsed.asked.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": effort if isinstance(effort, str) else None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": sent.get("temperature", parsed.asked.get("temperature")),
            "text": echo.get("text") or {"format": {"type": "text"}},
            "tool_choice": echo.get("tool_choice") or "auto",
            "tools": [{"strict": None, "description": None, **tool} for tool in echo.get("tools") or []],
            "top_p": sent.get("top_p", parsed.asked.get("top_p")),
            "truncation": "disabled",
            "usage": None if answer is None else usage_of(answer.usage),
            "user": echo.get("user"),
        }


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return token counts as responses have them."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def text_part(text: str) -> dict[str, Any]:
    """Return a content part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class ResponsesStream:
    """The events of one response, as bytes: `start`, any number of `text`, then `finish` or `failure`."""

    def __init__(self, form: ResponseForm) -> None:
        self._form = form
        self._number = 0
        self._text: list[str] = []
        self._message_open = False

    def start(self) -> bytes:
        """Yield that the response is created, and in progress."""
        opened = self._form.opened()
        return self._event("response.created", response=opened) + self._event("response.in_progress", response=opened)

    def text(self, text: str) -> bytes:
        """Yield a piece of the message, which begins with the first."""
        begin = b"" if self._message_open else self._begin_message()
        self._text.append(text)
        return begin + self._part("response.output_text.delta", delta=text, logprobs=[])

    def finish(self, answer: Answer) -> bytes:
        """Yield the end of the message, the calls, and the whole response."""
        parts: list[bytes] = []
        if self._message_open or not answer.calls:
            if not self._message_open:
                parts.append(self._begin_message())
            parts.append(self._end_message())
        first = int(self._message_open)
        for number, call in enumerate(answer.calls):
            parts.append(self._call(first + number, number, call))
        text = "".join(self._text)
        whole = Answer(text, answer.finish, answer.calls, answer.usage, answer.facts)
        parts.append(self._event("response.completed", response=self._form.completed(whole)))
        return b"".join(parts)

    def failure(self, refused: Refused) -> bytes:
        """Yield an error after the headers, in both forms that clients look for: its own members, and an object
        `error`.
        """
        error = refused.error()
        return self._event("error", code=error["code"], message=error["message"], param=error["param"], error=error)

    def _begin_message(self) -> bytes:
        self._message_open = True
        item = self._form.message(None)
        added = self._event("response.output_item.added", output_index=0, item=item)
        return added + self._part("response.content_part.added", part=text_part(""))

    def _end_message(self) -> bytes:
        text = "".join(self._text)
        return b"".join(
            [
                self._part("response.output_text.done", text=text, logprobs=[]),
                self._part("response.content_part.done", part=text_part(text)),
                self._event("response.output_item.done", output_index=0, item=self._form.message(text)),
            ]
        )

    def _call(self, index: int, number: int, call: ReplyCall) -> bytes:
        begun, done = self._form.call(number, call, begun=True), self._form.call(number, call)
        place = {"item_id": done["id"], "output_index": index}
        return b"".join(
            [
                self._event("response.output_item.added", output_index=index, item=begun),
                self._event("response.function_call_arguments.delta", **place, delta=done["arguments"]),
                self._event(
                    "response.function_call_arguments.done", **place, name=call.name, arguments=done["arguments"]
                ),
                self._event("response.output_item.done", output_index=index, item=done),
            ]
        )

    def _part(self, kind: str, **members: Any) -> bytes:
        return self._event(kind, item_id=self._form.message_id, output_index=0, content_index=0, **members)

    def _event(self, kind: str, **members: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number, **members})
