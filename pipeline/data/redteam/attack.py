"""The requests of a case: as an application would send them, whatever the attacker put into them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import orjson

from endocrine.pipeline.data.redteam.corpus import MARK, Case, Corpus, Mode, Request, filled
from endocrine.pipeline.data.redteam.evidence import Received

Json = dict[str, Any]
MOST_ROUNDS = 4
"""Requests of one conversation."""
_PATIENCE = 5
"""Tries of a request that the key's rate refuses."""


class DoorAway(Exception):
    """Nothing answers at the address. The message says what failed."""


@dataclass
class Attacker:
    """One run of one case in one mode, as one identity that nobody else is."""

    client: httpx.AsyncClient
    corpus: Corpus
    case: Case
    mode: str
    identity: str
    model: str
    answers: list[Received] = field(default_factory=list)
    decided: list[Received] = field(default_factory=list)

    async def run(self) -> None:
        """Send all of it. Raises DoorAway."""
        if self.case.raw is not None:
            await self._raw(self.case.raw, "chat" if "/openai/" in self.case.raw.path else "native")
        elif self.case.native is not None:
            await self._native()
        else:
            await self._conversation()

    async def _conversation(self) -> None:
        case = self.case
        prompt = f"{case.prompt} {MARK.format(case.name)}"
        messages: list[Json] = [*map(dict, case.messages), {"role": "user", "content": prompt}]
        for result in (*case.answers[: MOST_ROUNDS - 1], None):
            received = await self._ask(messages)
            calls = received.calls()
            if result is None or not calls:
                return
            asked = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for call in calls
            ]
            messages.append({"role": "assistant", "content": received.text() or None, "tool_calls": asked})
            messages += [{"role": "tool", "tool_call_id": call.id, "content": result} for call in calls]

    async def _ask(self, messages: list[Json]) -> Received:
        body: Json = {"model": self.model, "stream": self.mode.endswith("-stream")}
        functions = [(name, self.corpus.functions[name]) for name in self.case.functions]
        if self.mode.startswith("responses"):
            body["input"] = [item for message in messages for item in _items(message)]
            body["tools"] = [{"type": "function", "name": name, **more} for name, more in functions]
        else:
            body["messages"] = messages
            body["tools"] = [{"type": "function", "function": {"name": name, **more}} for name, more in functions]
        if not functions:
            del body["tools"]
        body |= _asked(self.case.asks, self.mode)
        path = "/openai/v1/responses" if self.mode.startswith("responses") else "/openai/v1/chat/completions"
        received = await self._send("POST", path, body, self.case.headers, self.mode)
        self.answers.append(received)
        return received

    async def _native(self) -> None:
        native = self.case.native
        assert native is not None
        opening = filled({"identity": self.identity, **native.turn}, {"identity": self.identity})
        self.answers.append(await self._send("POST", "/v1/turns", opening, self.case.headers, "native"))
        for request in native.before:
            await self._raw(request, "native")
        for _ in range(2 if native.again else 1):
            for number, call in enumerate(native.calls):
                body = {
                    "identity": self.identity,
                    "audit_id": self._audit_id or "unknown",
                    "call_id": f"{self.identity}-{number}",
                    **self._known(call),
                }
                self.decided.append(await self._send("POST", "/v1/tool-calls", body, {}, "native"))
            if native.again and len(self.decided) == len(native.calls):
                for request in native.after:
                    await self._raw(request, "native")

    @property
    def _audit_id(self) -> str | None:
        return next((one.audit_id for one in self.answers if one.audit_id), None)

    def _known(self, value: Any) -> Any:
        return filled(value, {"identity": self.identity, "audit": self._audit_id or "unknown"})

    async def _raw(self, request: Request, mode: str) -> None:
        body = self._known(request.body)
        path, headers = self._known(request.path), self._known(request.headers)
        self.answers.append(await self._send(request.method, path, body, headers, mode))

    async def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str], mode: str) -> Received:
        if body is None:
            content = None
        else:
            # Surrogates are what an attacker may write: they go out as bytes that are no UTF-8.
            content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else orjson.dumps(body)
        sent = {"content-type": "application/json", "endocrine-identity": self.identity, **self._known(headers)}
        asked = body if isinstance(body, dict) else {}
        for _ in range(_PATIENCE):
            try:
                answer = await self.client.request(method, path, content=content, headers=sent)
            except httpx.ConnectError as error:
                raise DoorAway(f"no door answers at {self.client.base_url}: {type(error).__name__}") from None
            except httpx.HTTPError as error:
                # The door may close a connection rather than read on: that is an answer, too.
                return Received(mode, 499, {"x-closed": type(error).__name__}, b"", asked)
            received = Received(mode, answer.status_code, dict(answer.headers), answer.content, asked)
            if received.status != 429 or received.error() != "rate_limited":
                break
            await _wait(received)
        return received


async def _wait(received: Received) -> None:
    """As long as the door asks for, a minute at most."""
    text = received.headers.get("retry-after", "1")
    await asyncio.sleep(min(float(text) if text.isdecimal() else 1.0, 60.0))


def modes_of(case: Case) -> tuple[Mode | str, ...]:
    """Return the modes that a case is run in."""
    return case.modes if case.prompt is not None else ("native",) if case.native is not None else ("raw",)


def _asked(asks: Json, mode: str) -> Json:
    """Further members, under the names of the API."""
    if not mode.startswith("responses"):
        return asks
    names = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
    return {names.get(name, name): value for name, value in asks.items()}


def _items(message: Json) -> list[Json]:
    """A message of chat completions as items of the Responses API."""
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}]
    found: list[Json] = []
    if message.get("content") is not None:
        found.append({"role": message["role"], "content": message["content"]})
    for call in message.get("tool_calls") or ():
        found.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    return found
