"""A conversation in one form, whichever API it was sent by, and what a turn takes from it."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.gateway.openai.port import AnsweredCall, Image
from endocrine.pipeline.gateway.openai.refusals import Refused

Role = Literal["system", "developer", "user", "assistant", "tool"]
_SESSION_CHARS = 32


@dataclass(frozen=True)
class Call:
    """A tool call in the history. arguments: JSON text, as the application wrote it."""

    id: str
    name: str
    arguments: str
    place: str
    """Where the request has it."""


@dataclass(frozen=True)
class Message:
    """One message. Image parts are notes in the text."""

    role: Role
    content: str | None
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    """Of a tool result: the call that it answers."""
    name: str | None = None
    place: str = "messages"


@dataclass(frozen=True)
class Conversation:
    """All messages of a request, oldest first."""

    messages: tuple[Message, ...]
    images: tuple[Image, ...] = ()
    """In the order of the messages."""

    def without_images(self) -> "Conversation":
        """Return the conversation without the bytes of images, which need not outlive the turn's opening."""
        return replace(self, images=())

    @property
    def continues(self) -> bool:
        """Whether the request ends in tool results: then it continues a turn."""
        return self.messages[-1].role == "tool"

    def prompt(self) -> str:
        """Return the last user message. Raises Refused where there is none, or it is empty."""
        for message in reversed(self.messages):
            if message.role == "user":
                if not message.content:
                    raise Refused("invalid_value", "The last user message is empty.", param=message.place)
                return message.content
        raise Refused("invalid_value", "There is no message with the role `user`.", param=self.messages[0].place)

    def turn_number(self) -> int:
        """Return the number of the turn in its session, from 0: user messages before the last."""
        return max(0, sum(message.role == "user" for message in self.messages) - 1)

    def session(self, key: bytes) -> str:
        """Return an id from a keyed digest of the messages up to the first of the user: the same in every later
        request.
        """
        first: list[Any] = []
        for message in self.messages:
            first.append([message.role, message.content])
            if message.role == "user":
                break
        return "s-" + hmac.new(key, orjson.dumps(first), hashlib.sha256).hexdigest()[:_SESSION_CHARS]

    def recorded(self) -> list[dict[str, Any]]:
        """Return the messages as `interactions.opened` has them. Raises Refused where arguments are no JSON object."""
        return [_recorded(message) for message in self.messages]

    def answered(self) -> tuple[AnsweredCall, ...]:
        """Return the results since the last message that is neither the assistant's nor a tool's, in the request's
        order.

        Raises Refused: unknown_tool_call where the request does not hold the call itself, duplicate_tool_result.
        """
        calls: dict[str, Call] = {}
        results: dict[str, AnsweredCall] = {}
        for message in self._tail():
            calls.update((call.id, call) for call in message.calls)
            if message.role != "tool":
                continue
            call_id = message.call_id or ""
            if call_id not in calls:
                raise Refused("unknown_tool_call", param=message.place)
            if call_id in results:
                raise Refused("duplicate_tool_result", param=message.place)
            call = calls[call_id]
            results[call_id] = AnsweredCall(call_id, call.name, call.arguments, message.content or "")
        return tuple(results.values())

    def _tail(self) -> Iterable[Message]:
        start = len(self.messages)
        while start and self.messages[start - 1].role in ("assistant", "tool"):
            start -= 1
        return self.messages[start:]


def same_arguments(one: Any, other: Any) -> bool:
    """Return whether two forms of arguments, objects or JSON texts, are one JSON value: clients write them anew."""
    return _canonical(one) == _canonical(other)


def arguments_digest(arguments: Any) -> str:
    """Return SHA-256 of the canonical JSON of arguments, objects or JSON text; of a text that is no JSON, of itself."""
    return hashlib.sha256(_canonical(arguments)).hexdigest()


def _canonical(arguments: Any) -> bytes:
    try:
        return canonical_json(_loaded(arguments) if isinstance(arguments, str) else arguments)
    except ValueError:
        return b"!" + repr(arguments).encode("utf-8", "replace")


def _loaded(arguments: str) -> Any:
    """Arguments as JSON; nothing, blanks and null are an object without members, as some clients write that."""
    found = orjson.loads(arguments) if arguments.strip() else None
    return {} if found is None else found


def _recorded(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        found["tool_calls"] = [{"id": call.id, "name": call.name, "arguments": _object(call)} for call in message.calls]
    if message.call_id is not None:
        found["tool_call_id"] = message.call_id
    if message.name is not None:
        found["name"] = message.name
    return found


def _object(call: Call) -> dict[str, Any]:
    try:
        found = _loaded(call.arguments)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Refused("invalid_value", "Arguments of a tool call are no JSON object.", param=call.place)
    return found
