"""The items of a streamed reply of the Responses API, put together from its events.

| what servers do | what is made of it |
|---|---|
| every `output_index` 0, or none | `item_id` says whose an event is; a second `added` begins another item |
| another `item_id` in each event (Copilot) | the index says whose it is |
| an event for an item of another type than the one at its place | the latest of that type, or a new one |
| less text, or no arguments, in `*.done` or in the last event (vLLM, proxies) | what the pieces add up to |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from endocrine.pipeline.connectors.model.failures import Malformed, TooLarge
from endocrine.pipeline.connectors.model.json_values import dumped, kind, mapping, optional_text
from endocrine.pipeline.connectors.model.outcome import Draft

_ITEMS = 1024
"""Items of one reply at most: messages, calls, pieces of reasoning."""
_CALL, _MESSAGE = "function_call", "message"


class _Text:
    """A text that comes in pieces, and perhaps once more as a whole."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Add one more piece."""
        self._pieces.append(piece)

    def end(self, whole: str) -> None:
        """Take the whole of it, as the server has it; it counts unless it says less than the pieces."""
        if not self.text.startswith(whole):
            self._pieces = [whole]

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


@dataclass
class _Item:
    """An item as the events built it up."""

    form: str = ""
    """Its type; empty while no event says it."""
    id: str = ""
    added: bool = False
    """Whether an event `output_item.added` began it."""
    name: str = ""
    done: Mapping[str, Any] | None = None
    """The whole of it, from `output_item.done`."""
    parts: dict[int, _Text] = field(default_factory=dict)
    """Text, by the place of its part."""
    refusal: _Text = field(default_factory=_Text)
    arguments: _Text = field(default_factory=_Text)

    def part(self, at: int) -> _Text:
        """Return the text of one part."""
        return self.parts.setdefault(at, _Text())

    def whole(self) -> Mapping[str, Any]:
        """Return it as an item of `output`."""
        if self.form == _CALL:
            built: dict[str, Any] = {"type": _CALL, "name": self.name, "arguments": self.arguments.text}
            return built if self.done is None else _fuller_call(self.done, built)
        if self.form not in (_MESSAGE, ""):
            return {"type": self.form} if self.done is None else self.done
        texts = (self.parts[at].text for at in sorted(self.parts))
        blocks: list[dict[str, Any]] = [{"type": "output_text", "text": text} for text in texts if text]
        if self.refusal.text:
            blocks.append({"type": "refusal", "refusal": self.refusal.text})
        built = {"type": _MESSAGE, "content": blocks}
        return built if self.done is None or _says_less([self.done], [built]) else self.done


class SeenItems:
    """What the events of a stream hold. All methods raise Malformed, TooLarge."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_index: dict[int, _Item] = {}
        self.reasoning_chars = 0

    @property
    def so_far(self) -> str:
        """Text of the messages so far."""
        messages = [item for item in self._items if item.form in (_MESSAGE, "")]
        return "".join(item.parts[at].text for item in messages for at in sorted(item.parts))

    def items(self, last: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the items of the reply: those of the last event, completed by what the events before it hold."""
        seen = [item.whole() for item in self._items]
        calls, messages = _of(seen, _CALL), _of(seen, _MESSAGE)
        last_calls, last_messages = _of(last, _CALL), _of(last, _MESSAGE)
        if 0 < len(last_calls) < len(calls):
            raise Malformed("the events hold more tool calls than the last of them")
        if len(last_calls) == len(calls):
            calls = [_fuller_call(one, other) for one, other in zip(last_calls, calls, strict=True)]
        elif last_calls:
            calls = last_calls
        if last_messages and not _says_less(last_messages, messages):
            messages = last_messages
        others = [item for item in last if item.get("type") not in (_CALL, _MESSAGE)]
        return [*others, *messages, *calls]

    def event(self, form: str, event: Mapping[str, Any]) -> None:
        """Take in an event; kinds that hold nothing of ours are passed over."""
        if form.startswith("response.reasoning") and form.endswith(".delta"):
            self.reasoning_chars += len(optional_text(event.get("delta"), "delta"))
        elif form == "response.output_text.delta":
            self._item(event, _MESSAGE).part(_content_index(event)).add(self._piece(event, "delta"))
        elif form == "response.output_text.done":
            self._item(event, _MESSAGE).part(_content_index(event)).end(self._piece(event, "text"))
        elif form == "response.refusal.delta":
            self._item(event, _MESSAGE).refusal.add(self._piece(event, "delta"))
        elif form == "response.refusal.done":
            self._item(event, _MESSAGE).refusal.end(self._piece(event, "refusal"))
        elif form == "response.function_call_arguments.delta":
            self._item(event, _CALL).arguments.add(self._piece(event, "delta"))
        elif form == "response.function_call_arguments.done":
            item = self._item(event, _CALL)
            if not _is_empty(event.get("arguments")):
                item.arguments.end(self._piece(event, "arguments"))
            item.name = optional_text(event.get("name"), "name") or item.name
        elif form == "response.content_part.done":
            self._part(event, mapping(event.get("part")))
        elif form in ("response.output_item.added", "response.output_item.done"):
            self._whole(event, ended=form.endswith(".done"))

    def _part(self, event: Mapping[str, Any], part: Mapping[str, Any]) -> None:
        if part.get("type") == "output_text" and part.get("text"):
            self._item(event, _MESSAGE).part(_content_index(event)).end(self._piece(part, "text"))
        elif part.get("type") == "refusal" and part.get("refusal"):
            self._item(event, _MESSAGE).refusal.end(self._piece(part, "refusal"))

    def _whole(self, event: Mapping[str, Any], *, ended: bool) -> None:
        given = event.get("item")
        if not isinstance(given, Mapping):
            raise Malformed(f"`item` is {kind(given)}, expected an object")
        item_type = optional_text(given.get("type"), "item.type")
        if not item_type:
            raise Malformed("an item has no type")
        item = self._item(event, item_type, given, ended=ended)
        item.added = item.added or not ended
        item.name = optional_text(given.get("name"), "item.name") or item.name
        if ended:
            item.done = given

    def _item(
        self, event: Mapping[str, Any], form: str, given: Mapping[str, Any] | None = None, *, ended: bool = True
    ) -> _Item:
        """The item of type `form` that an event is about. given: the item that it holds; not ended: it begins it."""
        item_id = optional_text(event.get("item_id") or (given or {}).get("id"), "item_id")
        index = _place(event, "output_index")
        at_index = None if index is None else self._by_index.get(index)
        found = self._by_id.get(item_id) if item_id else None
        if found is None or (found is not at_index and at_index is not None and at_index.id == item_id):
            found = at_index
        if found is None and index is None and ended:
            found = next((item for item in reversed(self._items) if item.form == form), None)
        if found is not None and found.form and found.form != form:
            found = None if given is not None else self._latest(form, index)
        if found is not None and given is not None and _is_another(found, item_id, given, ended=ended):
            found = None
        if found is None:
            if len(self._items) >= _ITEMS:
                raise TooLarge(f"has more than {_ITEMS} items")
            found = _Item()
            self._items.append(found)
        found.form, found.id = found.form or form, found.id or item_id
        if item_id:
            self._by_id.setdefault(item_id, found)
        if index is not None:
            self._by_index[index] = found
        return found

    def _latest(self, form: str, index: int | None) -> _Item | None:
        """The latest item of a type, where places say nothing: all events have the same one, or none."""
        if index is not None and len(self._by_index) > 1:
            return None
        return next((item for item in reversed(self._items) if item.form == form), None)

    def _piece(self, event: Mapping[str, Any], name: str) -> str:
        piece = event.get(name)
        if name == "arguments" and isinstance(piece, Mapping):  # whole, as an object; a piece of a text is a text
            piece = dumped(piece)
        text = optional_text(piece, name)
        self._draft.spend(len(text))
        return text


def _is_another(item: _Item, item_id: str, given: Mapping[str, Any], *, ended: bool) -> bool:
    """Whether an event with a whole item is about another one than the item at its place."""
    differs = bool(item_id and item.id and item_id != item.id)
    if not ended:
        return item.added and (differs or not item_id)
    if item.done is not None:
        return differs or (not item_id and item.done != given)
    names = item.name, given.get("name")
    return all(names) and names[0] != names[1]


def _of(items: Sequence[Mapping[str, Any]], form: str) -> list[Mapping[str, Any]]:
    return [item for item in items if item.get("type") == form]


def _is_empty(arguments: Any) -> bool:
    """Whether arguments are what a server writes in place of those that it gave piece by piece."""
    return arguments in (None, [], {}) or (isinstance(arguments, str) and arguments.strip() in ("", "{}", "null"))


def _fuller_call(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first of two forms of one call, with what only the other has."""
    name = one.get("name") or other.get("name")
    if one.get("name") and other.get("name") and one["name"] != other["name"]:
        raise Malformed("the events name another function than the last of them")
    arguments = other.get("arguments") if _is_fuller(other.get("arguments"), one.get("arguments")) else None
    return {**one, "name": name, "arguments": one.get("arguments") if arguments is None else arguments}


def _is_fuller(given: Any, than: Any) -> bool:
    """Whether arguments hold more than others: those are empty, or a beginning of them."""
    if _is_empty(given):
        return False
    return _is_empty(than) or (isinstance(given, str) and isinstance(than, str) and given.startswith(than))


def _says_less(items: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the events hold more than messages say: a refusal, or a text of which theirs is a beginning."""
    texts, refusals = zip(*(_texts_and_refusal(one) for one in (items, seen)), strict=True)
    return (bool(refusals[1]) and not refusals[0]) or (len(texts[1]) > len(texts[0]) and texts[1].startswith(texts[0]))


def _texts_and_refusal(items: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """(text, whether there is a refusal) of messages."""
    texts: list[str] = []
    refused = False
    for item in items:
        content = item.get("content")
        for block in content if isinstance(content, list) else [{"text": content}]:
            text = mapping(block).get("text")
            texts.append(text if isinstance(text, str) else "")
            refused = refused or bool(mapping(block).get("refusal"))
    return "".join(texts), refused


def _content_index(event: Mapping[str, Any]) -> int:
    return _place(event, "content_index") or 0


def _place(event: Mapping[str, Any], name: str) -> int | None:
    given = event.get(name)
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise Malformed(f"`{name}` is {kind(given)}, expected a number")
    return given
