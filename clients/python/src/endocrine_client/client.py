"""The async client."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx

from endocrine_client import names
from endocrine_client.core import Core, opening
from endocrine_client.delivery import headers_of
from endocrine_client.flows import Block, Flow, Send, Wait
from endocrine_client.operations import Operation, Operations
from endocrine_client.protocol import Answer, Decision, Json, answer_of
from endocrine_client.turn import TurnState

T = TypeVar("T")


class Turn(TurnState):
    """A turn of the async client; `async with` opens and closes it."""

    _client: "Endocrine"

    async def __aenter__(self) -> "Turn":
        """Open it. Raises Denied where it is refused, Pending where a person must agree first."""
        await self._client._run(self._open())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self._close))

    async def tool_call(self, call: Any, *, step: int = 1) -> Decision:
        """Wait for the decision on a call of the model; afterwards `parameters` and `functions` are those in force.

        call: as the provider's library gives it. Returns where it may run: with `decision.arguments`. Raises Denied,
        Pending, NotDecided: it must not run.
        """
        return await self._client._run(self._decide(call, step))

    async def tool_result(
        self,
        decision: Decision,
        output: Any = None,
        *,
        status: Literal["ok", "error", "timeout"] = "ok",
        duration_ms: float = 0.0,
    ) -> bool:
        """Record the result of a call. Never raises."""
        return await asyncio.to_thread(self._capture_result, decision, output, status, duration_ms)


class Endocrine(Operations, Core):
    """An async client of a gateway (arguments: `Core`). `async with` begins sending, and ends it.

    Captures (`rate`, `signal`, the end of a turn) never raise and return at once: they are kept on disk and sent from
    there. They return False where even that failed, which is logged.
    """

    async def __aenter__(self) -> "Endocrine":
        self._http = httpx.AsyncClient(base_url=self.url, headers=self._headers, transport=self._transport)
        self._delivery.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self._end))
        await self._http.aclose()

    def turn(
        self,
        *,
        identity: str,
        prompt: str,
        session_id: str | None = None,
        turn: int | None = None,
        signals: Mapping[str, float] | Iterable[Mapping[str, Any]] | None = None,
        project: str | None = None,
        model: str | None = None,
        context_pack: str | None = None,
        application_tools: Iterable[Mapping[str, Any]] | None = None,
        audit_id: str | None = None,
    ) -> Turn:
        """A turn, opened by `async with`; it closes with the answer, or as abandoned.

        signals: levels by name, 0 to 1. turn: its number in the session, from 0. application_tools: functions that
        the application runs itself (`name`, `description`, `parameters`).
        """
        given = opening(identity, prompt, session_id, turn, signals, project, model, context_pack, application_tools,
                        audit_id)  # fmt: skip
        made = Turn(self._delivery, given, self._open_s, self._decision_s)
        made._client = self
        return made

    async def rate(
        self,
        turn: TurnState | str,
        rating: int,
        *,
        identity: str | None = None,
        note: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> bool:
        """Record a person's verdict on a turn, 1 (bad) to 5 (good). identity: needed with an audit id. Never raises."""
        return await asyncio.to_thread(self._rate, turn, rating, identity, note, tags)

    async def signal(
        self,
        identity: str,
        name: str,
        level: float,
        *,
        ttl_ms: int | None = None,
        source: str | None = None,
        turn: TurnState | None = None,
    ) -> bool:
        """Record a signal, 0 to 1, that counts for ttl_ms of event time (800 where left out). Never raises."""
        return await asyncio.to_thread(self._signal, identity, name, level, ttl_ms, source, turn)

    async def observation(self, observed: Mapping[str, Any]) -> bool:
        """Record a BEHAVE observation: its fields as the topic `observations` has them. Never raises."""
        return await asyncio.to_thread(self._capture, "/v1/observations", observed)

    async def detection(self, detected: Mapping[str, Any]) -> bool:
        """Record an entrainment detection: its fields as the topic `detections` has them. Never raises."""
        return await asyncio.to_thread(self._capture, "/v1/detections", detected)

    async def register_name(self, scope: names.Scope, name: str, registered_id: str | None = None) -> Json:
        """Register an id, or a name as an alias of a registered id; the outcome. Raises NameNotTaken."""
        return await self._run(names.command("register_name", scope, name, registered_id))

    async def release_name(self, scope: names.Scope, name: str) -> Json:
        """Release an alias; the outcome. Raises NameNotTaken."""
        return await self._run(names.command("release_name", scope, name, None))

    async def flush(self, within_s: float = 10.0) -> bool:
        """Send what is kept. True: the gateway has all of it. Never raises."""
        return await asyncio.to_thread(self._delivery.deliver, within_s)

    async def _operate(self, operation: Operation[T]) -> T:
        try:
            sending = self._http.request(
                operation.method,
                operation.path,
                params=operation.query,
                content=operation.content,
                headers=operation.headers,
                timeout=None,
            )
            response = await asyncio.wait_for(sending, operation.within_s)
            answer = answer_of(response.status_code, response.content, response.headers)
        except Exception as error:  # whatever it is: no answer
            answer = Answer(0, {}, {}, type(error).__name__)
        return operation.meant(answer)

    async def _run(self, flow: Flow[T]) -> T:
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            if isinstance(step, Send):
                result = await self._sent(step)
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                result = None
            elif isinstance(step, Block):
                result = await asyncio.to_thread(step.work)

    async def _sent(self, step: Send) -> Answer:
        record = step.request
        try:
            sending = self._http.post(record.path, content=record.content, headers=headers_of(record), timeout=None)
            response = await asyncio.wait_for(sending, step.within_s)
            return answer_of(response.status_code, response.content, response.headers)
        except Exception as error:  # whatever it is: no answer
            return Answer(0, {}, {}, type(error).__name__)
