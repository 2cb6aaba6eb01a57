"""What a client received: status, headers, bytes; read as text and calls, as a client of each API joins them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Json = dict[str, Any]


@dataclass(frozen=True)
class ReceivedCall:
    """A call that reached the client. arguments: None where they are no JSON."""

    id: str
    name: str
    text: str
    """Arguments as they came."""

    @property
    def arguments(self) -> Any:
        """Arguments as JSON; None where they are not."""
        try:
            return orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return None


@dataclass(frozen=True)
class Received:
    """One answer. mode: of the request: an API, or `native` or `raw`."""

    mode: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The body that was sent, where it was an object."""

    def objects(self) -> Iterator[Json]:
        """Yield the JSON objects of the answer: the body, or the data of each event."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            for line in self.content.splitlines():
                if line.startswith(b"data:") and (found := _object(line[5:])) is not None:
                    yield found
        elif (found := _object(self.content)) is not None:
            yield found

    def calls(self) -> list[ReceivedCall]:
        """Return the calls, in order; pieces joined by their index."""
        pieces: dict[Any, list[str]] = {}
        for one in self.objects():
            for place, call_id, name, arguments in _chat_pieces(one) if self._chat else _response_pieces(one):
                known = pieces.setdefault(place, ["", "", ""])
                known[0] = known[0] or call_id
                known[1] += name
                known[2] += arguments
        return [ReceivedCall(*parts) for parts in pieces.values()]

    def text(self) -> str:
        """Return the text of the answer, pieces joined."""
        found: list[str] = []
        for one in self.objects():
            if self._chat:
                for choice in _list(one.get("choices")):
                    part = choice.get("delta") or choice.get("message") or {}
                    found += [part[name] for name in ("content", "refusal") if isinstance(part.get(name), str)]
            elif one.get("type") == "response.output_text.delta":
                found.append(str(one.get("delta", "")))
            elif one.get("object") == "response":
                found += [
                    str(part.get("text", ""))
                    for item in _list(one.get("output"))
                    for part in _list(item.get("content"))
                ]
        return "".join(found)

    def facts(self) -> Json:
        """Return what the gateway says of the turn: the object `endocrine`, or `metadata` of a response."""
        found: Json = {}
        for one in self.objects():
            inner = one.get("response")
            whole = inner if isinstance(inner, dict) else one
            if isinstance(whole.get("endocrine"), dict):
                found |= whole["endocrine"]
            if isinstance(whole.get("metadata"), dict):
                prefix = "endocrine-"
                found |= {
                    name[len(prefix) :].replace("-", "_"): value
                    for name, value in whole["metadata"].items()
                    if name.startswith(prefix)
                }
        return found

    def error(self) -> str | None:
        """Return the code of the error that was answered, or that ended a stream."""
        for one in self.objects():
            if isinstance(one.get("error"), dict):
                return str(one["error"].get("code"))
            if isinstance(one.get("type"), str) and one["type"].startswith("/problems/"):
                return str(one["type"]).rpartition("/")[2]
        return None

    def header(self, name: str) -> Json:
        """Return a header of compact JSON; empty where it is not there."""
        return _object(self.headers.get(name, "").encode()) or {}

    @property
    def audit_id(self) -> str | None:
        """Id of the turn, where the answer names it."""
        named = self.headers.get("endocrine-audit-id") or self.facts().get("audit_id")
        if named is None and self.mode == "native":
            named = next((one.get("audit_id") for one in self.objects()), None)
        return None if named is None else str(named)

    @property
    def _chat(self) -> bool:
        return not self.mode.startswith("responses")


def _object(content: bytes) -> Json | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _list(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _chat_pieces(one: Json) -> Iterator[tuple[Any, str, str, str]]:
    for choice in _list(one.get("choices")):
        part = choice.get("delta") or choice.get("message") or {}
        for number, call in enumerate(_list(part.get("tool_calls"))):
            function = call.get("function") or {}
            yield (
                (choice.get("index", 0), call.get("index", number)),
                str(call.get("id") or ""),
                str(function.get("name") or ""),
                str(function.get("arguments") or ""),
            )
        if isinstance(old := part.get("function_call"), dict):
            yield "function_call", "", str(old.get("name") or ""), str(old.get("arguments") or "")


def _response_pieces(one: Json) -> Iterator[tuple[Any, str, str, str]]:
    """Calls of a response: of the whole object, or of the events that add an item and end it."""
    items = _list(one.get("output")) if one.get("object") == "response" else []
    if one.get("type") == "response.output_item.done" and isinstance(one.get("item"), dict):
        items = [one["item"]]
    for item in items:
        if item.get("type") in ("function_call", "custom_tool_call", "mcp_call"):
            call_id = str(item.get("call_id") or item.get("id") or "")
            yield call_id, call_id, str(item.get("name") or ""), str(item.get("arguments") or item.get("input") or "")
