"""Replies of the Responses API, whole and streamed. Habits of servers, with their tests: docs/models.md.

The last event of a stream holds the whole reply; where a server leaves its `output` empty (vLLM, proxies), the events
before it say what it was.
"""

from collections.abc import Mapping
from typing import Any

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.pipeline.connectors.model.content import add_block, reasoning_chars
from endocrine.pipeline.connectors.model.failures import Failed, Hidden, Malformed, StreamCut
from endocrine.pipeline.connectors.model.json_values import count, kind, mapping, model_name, objects, optional_text
from endocrine.pipeline.connectors.model.outcome import Draft, Outcome, finish_word
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of
from endocrine.pipeline.connectors.model.response_items import SeenItems

_LAST = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
)
_ERRORS = frozenset({"error", "response.error"})
_UNFINISHED = frozenset({"in_progress", "queued"})
_CUT_SHORT = frozenset({"in_progress", "incomplete"})
"""Of an item: with arguments it is a whole one all the same, some servers never say `completed`."""
_CALLS_OF_OTHERS = frozenset({"custom_tool_call", "tool_call", "tool_use"})


class ResponsesReply:
    """One reply while it is read. `whole` once, or `event` for each of a stream and then `outcome`."""

    def __init__(self, bounds: ReplyBounds, hidden: Hidden) -> None:
        self._bounds = bounds
        self._draft = Draft(bounds)
        self._hidden = hidden
        self._seen = SeenItems(self._draft)
        self._last: Any = None
        self._last_event = ""
        self.done = False
        """Whether the stream has announced its end."""

    @property
    def finished(self) -> bool:
        """Whether it may end here."""
        return self.done or self._last is not None

    @property
    def so_far(self) -> str:
        """Text of the answer so far."""
        return self._seen.so_far

    def whole(self, body: Any) -> Outcome:
        """Return the outcome of a response object. Raises Failed."""
        output = self._checked(body)
        if output is None and not isinstance(body.get("output_text"), str):
            raise Malformed("it has no `output`")
        return self._outcome(body, output or [])

    def event(self, name: str, event: Any) -> None:
        """Take in an event of a stream. Raises Failed."""
        if not isinstance(event, Mapping):
            raise self._error(event) or Malformed(f"an event is {kind(event)}, expected an object")
        form = optional_text(event.get("type"), "type") or name
        if form in _ERRORS or "type" not in event:
            if (failure := self._error(event)) is not None:
                raise failure
            if form in _ERRORS:
                raise failure_of(event, self._hidden)
        if form in _LAST:
            self._last, self._last_event = event.get("response"), form
            self.done = True
        else:
            self._seen.event(form, event)

    def outcome(self) -> Outcome:
        """Return the outcome of the stream. Raises Failed; StreamCut where it has not ended."""
        if not self.finished:
            raise StreamCut
        body = {"output": []} if self._last is None and not self._last_event else self._last
        output = self._checked(body, self._last_event)
        return self._outcome(body, self._seen.items(output or []))

    def _error(self, body: Any) -> Failed | None:
        error = error_in(body)
        return None if error is None else failure_of(error, self._hidden)

    def _checked(self, body: Any, event: str = "") -> list[Mapping[str, Any]] | None:
        """The items of a response; None: there is no list. Raises Failed for one that failed; Malformed."""
        if (failure := self._error(body)) is not None:
            raise failure
        if not isinstance(body, Mapping):
            raise Malformed(f"it is {kind(body)}, expected an object")
        status = optional_text(body.get("status"), "status") or event.removeprefix("response.")
        if status == "failed":
            raise failure_of({}, self._hidden)
        if status == "cancelled" or status in _UNFINISHED:
            raise Malformed("its status says that it is not finished")
        return None if body.get("output") is None else objects(body["output"], "output")

    def _outcome(self, body: Mapping[str, Any], items: list[Mapping[str, Any]]) -> Outcome:
        draft = Draft(self._bounds)
        draft.model = model_name(body.get("model"))
        usage = mapping(body.get("usage"))
        cached = count(mapping(usage.get("input_tokens_details")).get("cached_tokens")) or 0
        draft.usage = (count(usage.get("input_tokens")), cached, count(usage.get("output_tokens")))
        calls: list[tuple[str, Any]] = []
        for item in items:
            _item(draft, item, calls)
        if not any(item.get("type") != "reasoning" for item in items) and isinstance(body.get("output_text"), str):
            draft.text(body["output_text"])
        if not any(item.get("type") == "reasoning" for item in items):
            draft.reasoning_chars += self._seen.reasoning_chars
        if body.get("status") == "incomplete" or self._last_event == "response.incomplete":
            reason = mapping(body.get("incomplete_details")).get("reason")
            draft.ends(finish_word(reason or "length", "incomplete_details.reason"))
        return draft.outcome(calls)


def _item(draft: Draft, item: Mapping[str, Any], calls: list[tuple[str, Any]]) -> None:
    """Take in one item of the output. What is neither text nor a call (the provider's searches) is left out."""
    form = None if item.get("type") is None else optional_text(item["type"], "output.type")
    if form == "function_call":
        arguments = item.get("arguments")
        if not (arguments is None or arguments == [] or isinstance(arguments, str | Mapping)):
            raise Malformed(f"`output.arguments` is {kind(arguments)}, expected an object or a text")
        if item.get("status") in _CUT_SHORT and not arguments:
            draft.ends("length")
        draft.spend(len(arguments) if isinstance(arguments, str) else 0)
        calls.append((optional_text(item.get("name"), "output.name"), arguments))
    elif form in _CALLS_OF_OTHERS:
        raise Malformed("`output` holds a call of a kind that was not offered")
    elif form == "message" or (form is None and "content" in item):
        if item.get("role") not in (None, "assistant"):
            return  # what was sent, repeated
        content = item.get("content")
        if isinstance(content, str):
            draft.text(content)
        for block in [] if isinstance(content, str) else objects(content, "output.content"):
            add_block(draft, block)
    elif form == "reasoning":
        draft.reasoning_chars += reasoning_chars([item.get("summary"), item.get("content")])
    elif form is None:
        raise Malformed("an item of `output` has no type")
