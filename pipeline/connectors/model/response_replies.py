"""Replies of the Responses API, whole and streamed. Habits of servers, with their tests: docs/models.md.

The last event of a stream holds the whole reply; where a server leaves its `output` empty (vLLM, proxies), the events
before it say what it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.conversation.capabilities import ReplyBounds
from pipeline.connectors.model.content import add_block, reasoning_chars
from pipeline.connectors.model.failures import Failed, Hidden, Malformed, StreamCut, TooLarge
from pipeline.connectors.model.json_values import count, dumped, kind, mapping, model_name, objects, optional_text
from pipeline.connectors.model.outcome import Draft, Outcome, finish_word
from pipeline.connectors.model.provider_errors import error_in, failure_of

_LAST = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
)
_ERRORS = frozenset({"error", "response.error"})
_ITEMS = 1024
"""Items of one reply at most: messages, calls, pieces of reasoning."""
_UNFINISHED = frozenset({"in_progress", "queued"})


class ResponsesReply:
    """One reply while it is read. `whole` once, or `event` for each of a stream and then `outcome`."""

    def __init__(self, bounds: ReplyBounds, hidden: Hidden) -> None:
        self._bounds = bounds
        self._draft = Draft(bounds)
        self._hidden = hidden
        self._seen = _Seen(self._draft)
        self._last: Any = None
        self._last_event = ""
        self.done = False
        """Whether the stream said that nothing more comes."""

    @property
    def finished(self) -> bool:
        """Whether it may end here."""
        return self.done or self._last is not None

    def whole(self, body: Any) -> Outcome:
        """The outcome of a response object. Raises Failed."""
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
        """What the stream came to. Raises Failed; StreamCut where it has not ended."""
        if not self.finished:
            raise StreamCut
        body = {"output": []} if self._last is None and not self._last_event else self._last
        output = self._checked(body, self._last_event)
        return self._outcome(body, self._seen.items(output or []))

    def _error(self, body: Any) -> Failed | None:
        error = error_in(body)
        return None if error is None else failure_of(error, self._hidden)

    def _checked(self, body: Any, event: str = "") -> list[Mapping[str, Any]] | None:
        """The items of a response; None: there is no list. Raises Failed where it is none, or failed."""
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
        if not items and isinstance(body.get("output_text"), str):
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
        draft.spend(len(arguments) if isinstance(arguments, str) else 0)
        calls.append((optional_text(item.get("name"), "output.name"), arguments))
    elif form == "message" or (form is None and "content" in item):
        content = item.get("content")
        if isinstance(content, str):
            draft.text(content)
        for block in [] if isinstance(content, str) else objects(content, "output.content"):
            add_block(draft, block)
    elif form == "reasoning":
        draft.reasoning_chars += reasoning_chars([item.get("summary"), item.get("content")])
    elif form is None:
        raise Malformed("an item of `output` has no type")


@dataclass
class _Item:
    """An item as the events built it up."""

    form: str | None = None
    name: str = ""
    done: Mapping[str, Any] | None = None
    """The whole of it, from `output_item.done`."""
    parts: dict[Any, list[str]] = field(default_factory=dict)
    """Pieces of text, by the place of their part."""
    refusals: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> Mapping[str, Any]:
        """As an item of `output`."""
        if self.done is not None:
            return self.done
        if self.form == "function_call" or self.arguments:
            return {"type": "function_call", "name": self.name, "arguments": "".join(self.arguments)}
        blocks: list[dict[str, Any]] = [
            {"type": "output_text", "text": "".join(self.parts[at])} for at in sorted(self.parts)
        ]
        if self.refusals:
            blocks.append({"type": "refusal", "refusal": "".join(self.refusals)})
        return {"type": "message", "content": blocks}


class _Seen:
    """What the events of a stream said, by the place of their item."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._items: dict[Any, _Item] = {}
        self.reasoning_chars = 0

    def items(self, last: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The items of the reply: those of the last event; where it has no text or call, those that were seen."""
        seen = [self._items[at].whole() for at in sorted(self._items)]
        said = [item for item in seen if item.get("type") != "reasoning"]
        calls = [sum(item.get("type") == "function_call" for item in items) for items in (last, said)]
        if calls[0] < calls[1] and calls[0]:
            raise Malformed("the events hold more tool calls than the last of them")
        if not any(item.get("type") in ("message", "function_call") for item in last):
            return [*last, *said] if said else last
        if calls[1] and not calls[0]:
            return [*last, *(item for item in said if item.get("type") == "function_call")]
        return last

    def event(self, form: str, event: Mapping[str, Any]) -> None:
        """Take in an event; kinds that say nothing of ours are passed over."""
        if form.startswith("response.reasoning") and form.endswith(".delta"):
            self.reasoning_chars += len(optional_text(event.get("delta"), "delta"))
        elif form == "response.output_text.delta":
            self._item(event).parts.setdefault(_place(event, "content_index"), []).append(self._piece(event, "delta"))
        elif form == "response.output_text.done" and event.get("text") is not None:
            self._item(event).parts[_place(event, "content_index")] = [self._piece(event, "text")]
        elif form == "response.refusal.delta":
            self._item(event).refusals.append(self._piece(event, "delta"))
        elif form == "response.refusal.done" and event.get("refusal") is not None:
            self._item(event).refusals = [self._piece(event, "refusal")]
        elif form == "response.function_call_arguments.delta":
            self._item(event).arguments.append(self._piece(event, "delta"))
        elif form == "response.function_call_arguments.done" and event.get("arguments") is not None:
            item = self._item(event)
            item.arguments = [self._piece(event, "arguments")]
            item.name = optional_text(event.get("name"), "name") or item.name
        elif form == "response.content_part.done":
            self._part(event, mapping(event.get("part")))
        elif form in ("response.output_item.added", "response.output_item.done"):
            self._whole(form, event)

    def _part(self, event: Mapping[str, Any], part: Mapping[str, Any]) -> None:
        if part.get("type") == "output_text" and part.get("text"):
            self._item(event).parts[_place(event, "content_index")] = [self._piece(part, "text")]
        elif part.get("type") == "refusal" and part.get("refusal"):
            self._item(event).refusals = [self._piece(part, "refusal")]

    def _whole(self, form: str, event: Mapping[str, Any]) -> None:
        given = event.get("item")
        if not isinstance(given, Mapping):
            raise Malformed(f"`item` is {kind(given)}, expected an object")
        item_type = optional_text(given.get("type"), "item.type")
        if not item_type:
            raise Malformed("an item has no type")
        item = self._item(event)
        item.form = item.form or item_type
        item.name = optional_text(given.get("name"), "item.name") or item.name
        if form.endswith(".done") and _says(given):
            item.done = given

    def _item(self, event: Mapping[str, Any]) -> _Item:
        place = _place(event, "output_index")
        if place not in self._items and len(self._items) >= _ITEMS:
            raise TooLarge(f"has more than {_ITEMS} items")
        return self._items.setdefault(place, _Item())

    def _piece(self, event: Mapping[str, Any], name: str) -> str:
        piece = event.get(name)
        if name == "arguments" and isinstance(piece, Mapping):  # whole, as an object; a piece of a text is a text
            piece = dumped(piece)
        text = optional_text(piece, name)
        self._draft.spend(len(text))
        return text


def _says(item: Mapping[str, Any]) -> bool:
    """Whether an item that is done holds what it should."""
    return bool(item.get("content")) or item.get("arguments") is not None or item.get("type") == "reasoning"


def _place(event: Mapping[str, Any], name: str) -> int:
    given = event.get(name)
    if given is None:
        return 0
    if isinstance(given, bool) or not isinstance(given, int):
        raise Malformed(f"`{name}` is {kind(given)}, expected a number")
    return given
