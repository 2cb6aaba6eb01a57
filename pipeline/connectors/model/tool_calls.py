"""Tool calls put together from the pieces of a stream, whatever a server does with ids, indexes and names.

| what servers do | whose piece it is |
|---|---|
| an id that was seen | that call's, whatever the index says |
| no id, an index | the latest call's of this index |
| neither | the latest call's |
| a new id, or a name where the call so far is complete | a new call's; every index may be 0 (Ollama, Gemini) |
| a new id and no name, or the same name while the arguments are not complete | the call's of this index (old vLLM) |
| the name again in each piece | the same call's while its arguments are not complete, or nothing is added to them |
| the name itself in pieces | the same call's while it has no arguments |
"""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from endocrine.pipeline.connectors.model.failures import Malformed, TooLarge
from endocrine.pipeline.connectors.model.json_values import dumped, kind, objects, optional_text, position
from endocrine.pipeline.connectors.model.outcome import Draft

_OF_A_CALL = frozenset({"function", "name", "arguments", "id", "index", "type"})
_ARGUMENTS = ("arguments", "parameters", "input")
"""Names of the arguments: OpenAI's, those of Llama's own notation, and those of Anthropic's API."""


class _Call:
    """A call while its pieces come."""

    def __init__(self, index: int | None, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.name = ""
        self.whole: Any = None
        """Arguments that came as an object or list."""
        self._text = StringIO()
        self.length = 0
        self._level = 0
        self._in_string = self._escaped = False
        self.complete = False
        """Whether the text is a whole JSON object or list so far."""

    @property
    def empty(self) -> bool:
        """Whether there are no arguments yet."""
        return not self.length and self.whole is None

    @property
    def ended(self) -> bool:
        """Whether the arguments are whole."""
        return self.complete or self.whole is not None

    @property
    def text(self) -> str:
        """The arguments as text."""
        return self._text.getvalue()

    def arguments(self) -> Any:
        """Return them as they came."""
        return self.text if self.whole is None else self.whole

    def add(self, piece: str) -> None:
        """Add more of the arguments, going over each character once: how much is complete is asked for in each
        piece.
        """
        if self.complete and piece.strip():
            if self.text.strip() == "{}":  # LiteLLM: an empty object first, then the real one
                self._text, self.length, self.complete = StringIO(), 0, False
            elif self.text == piece:  # the whole again at the end
                return
        self._text.write(piece)
        self.length += len(piece)
        for char in piece:
            self._step(char)

    def _step(self, char: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._in_string = False
        elif char == '"':
            self._in_string = True
        elif char in "[{":
            self._level += 1
            self.complete = False
        elif char in "]}":
            self._level -= 1
            self.complete = self._level == 0


class CallJoiner:
    """The calls of one reply, in the order in which they began."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def unfinished(self) -> bool:
        """Whether the arguments of the latest call have not ended, as far as they show."""
        return bool(self._calls) and not self._calls[-1].ended

    def calls(self) -> list[tuple[str, Any]]:
        """Return (name, arguments as they came)."""
        return [(call.name, call.arguments()) for call in self._calls]

    def add_whole(self, given: Any) -> None:
        """Add the calls of a reply that is no stream: each entry is one."""
        for entry in objects(given, "tool_calls"):
            name, arguments = _function(entry)
            call = self._new(None, "")
            call.name = name
            self._arguments(call, arguments)

    def add_pieces(self, given: Any) -> None:
        """Add pieces of calls, as a delta has them."""
        for entry in objects(given, "tool_calls"):
            index = position(entry.get("index"), "tool_calls.index")
            name, arguments = _function(entry)
            call_id = _id(entry.get("id"))
            if not (call_id or name or arguments) and index not in self._by_index:
                continue  # nothing of a call that has not begun
            call = self._whose(index, call_id, name, arguments)
            self._named(call, name)
            self._arguments(call, arguments)

    def _whose(self, index: int | None, call_id: str, name: str, arguments: Any) -> _Call:
        at_index = None if index is None else self._by_index.get(index)
        if call_id:
            known = self._by_id.get(call_id)
            if at_index is not None and at_index.id == call_id:
                known = at_index  # some repeat one id for every call; then the index tells them apart
            if known is not None and not (name and index is not None and known.index not in (None, index)):
                return self._new(index, call_id) if _is_another(known, name, arguments) else known
        call = at_index
        if call is None and self._calls and (index is None or not (call_id or name)):
            # Nothing says whose it is, or only an index that nothing began under (DeepSeek behind proxies).
            call = self._calls[-1]
        if call is None or _begins(call, index, call_id, name, arguments):
            return self._new(index, call_id)
        if index is not None:
            self._by_index[index] = call
        if call_id and not call.id:
            call.id = call_id
            self._by_id[call_id] = call
        return call

    def _new(self, index: int | None, call_id: str) -> _Call:
        if len(self._calls) >= self._draft.bounds.calls:
            raise TooLarge(f"has more than {self._draft.bounds.calls} tool calls (models.bounds.calls)")
        call = _Call(index, call_id)
        self._calls.append(call)
        if call_id:
            self._by_id[call_id] = call
        if index is not None:
            self._by_index[index] = call
        return call

    def _named(self, call: _Call, name: str) -> None:
        if not name or name == call.name:
            return
        self._draft.spend(len(name))
        if call.empty and not name.startswith(call.name):
            call.name += name
        elif call.empty or not call.name:
            call.name = name
        else:
            raise Malformed("a tool call changes its name")

    def _arguments(self, call: _Call, given: Any) -> None:
        if given is None or given == "":
            return
        if isinstance(given, str):
            if call.whole is not None:
                raise Malformed("a tool call's arguments are an object and then a text")
            self._draft.spend(len(given))
            call.add(given)
        elif isinstance(given, Mapping) or given == []:
            if not call.empty and call.arguments() != given:
                raise Malformed("a tool call's arguments come twice and differ")
            self._draft.spend(len(dumped(given)) if call.empty else 0)
            call.whole = given
        else:
            raise Malformed(f"a tool call's arguments are {kind(given)}, expected an object or a text")


def _is_another(call: _Call, name: str, arguments: Any) -> bool:
    """Whether a piece under the id of a call that is complete is another call: the server has one id for all."""
    if not name or not call.ended:
        return False
    return name != call.name or (arguments not in (None, "") and arguments != call.arguments())


def _begins(call: _Call, index: int | None, call_id: str, name: str, arguments: Any) -> bool:
    """Whether a piece begins another call than the one its place points to."""
    if not name:
        return False
    if call_id and call.id and call_id != call.id:
        return call.ended or call.empty or name != call.name
    if call.ended:
        return name != call.name or arguments not in (None, "")
    # A name that differs while there are no arguments may be the rest of it.
    return bool(call.name) and name != call.name and (index is None or not call.empty)


def _function(entry: Mapping[str, Any]) -> tuple[str, Any]:
    """(name, arguments) of an entry; of servers that leave out the level `function`, too."""
    if not entry.keys() & _OF_A_CALL:
        raise Malformed("a tool call holds nothing that one may hold")
    function = entry.get("function", entry)
    if function is None:
        return "", None
    if not isinstance(function, Mapping):
        raise Malformed(f"`tool_calls.function` is {kind(function)}, expected an object")
    name = optional_text(function.get("name"), "tool_calls.function.name")
    arguments = next((given for key in _ARGUMENTS if (given := function.get(key)) is not None), None)
    return name, arguments


def _id(given: Any) -> str:
    """The id of a call, which some servers count."""
    return (
        str(given) if isinstance(given, int) and not isinstance(given, bool) else optional_text(given, "tool_calls.id")
    )
