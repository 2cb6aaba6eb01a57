"""The blocking client."""

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx

from endocrine_client import names
from endocrine_client.core import Core, opening
from endocrine_client.delivery import post
from endocrine_client.flows import Block, Flow, Send, Wait
from endocrine_client.operations import Operation, Operations
from endocrine_client.protocol import Answer, Decision, Json, answer_of
from endocrine_client.turn import TurnState

T = TypeVar("T")


class SyncTurn(TurnState):
    """A turn of the blocking client; `with` opens and closes it."""

    _client: "SyncEndocrine"

    def __enter__(self) -> "SyncTurn":
        """Open it. Raises Denied where it is refused, Pending where a person must agree first."""
        self._client._run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def tool_call(self, call: Any, *, step: int = 1) -> Decision:
        """As `Turn.tool_call`."""
        return self._client._run(self._decide(call, step))

    def tool_result(
        self,
        decision: Decision,
        output: Any = None,
        *,
        status: Literal["ok", "error", "timeout"] = "ok",
        duration_ms: float = 0.0,
    ) -> bool:
        """Record the result of a call. Never raises."""
        return self._capture_result(decision, output, status, duration_ms)


class SyncEndocrine(Operations, Core):
    """A blocking client of a gateway (arguments: `Core`); may be shared by threads. Otherwise as `Endocrine`."""

    def __enter__(self) -> "SyncEndocrine":
        self._http = httpx.Client(base_url=self.url, headers=self._headers, transport=self._transport)
        self._delivery.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._http.close()

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
    ) -> SyncTurn:
        """As `Endocrine.turn`, opened by `with`."""
        given = opening(identity, prompt, session_id, turn, signals, project, model, context_pack, application_tools,
                        audit_id)  # fmt: skip
        made = SyncTurn(self._delivery, given, self._open_s, self._decision_s)
        made._client = self
        return made

    def record(self, audit_id: str, opened: Mapping[str, Any], closed: Mapping[str, Any]) -> bool:
        """Record a turn that is over. Never raises; the same turn again is one.

        audit_id: printable ASCII. opened: `identity`, `prompt`, `ts`, ... closed: `response`, `ts`, ... as the gateway
        takes them; the same each time.
        """
        return self._record(audit_id, opened, closed)

    def rate(
        self,
        turn: TurnState | str,
        rating: int,
        *,
        identity: str | None = None,
        note: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> bool:
        """As `Endocrine.rate`."""
        return self._rate(turn, rating, identity, note, tags)

    def signal(
        self,
        identity: str,
        name: str,
        level: float,
        *,
        ttl_ms: int | None = None,
        source: str | None = None,
        turn: TurnState | None = None,
    ) -> bool:
        """As `Endocrine.signal`."""
        return self._signal(identity, name, level, ttl_ms, source, turn)

    def observation(self, observed: Mapping[str, Any]) -> bool:
        """As `Endocrine.observation`."""
        return self._capture("/v1/observations", observed)

    def detection(self, detected: Mapping[str, Any]) -> bool:
        """As `Endocrine.detection`."""
        return self._capture("/v1/detections", detected)

    def register_name(self, scope: names.Scope, name: str, registered_id: str | None = None) -> Json:
        """Register an id, or a name as an alias of a registered id; the outcome. Raises NameNotTaken."""
        return self._run(names.command("register_name", scope, name, registered_id))

    def release_name(self, scope: names.Scope, name: str) -> Json:
        """Release an alias; the outcome. Raises NameNotTaken."""
        return self._run(names.command("release_name", scope, name, None))

    def flush(self, within_s: float = 10.0) -> bool:
        """As `Endocrine.flush`."""
        return self._delivery.deliver(within_s)

    def _operate(self, operation: Operation[T]) -> T:
        try:
            response = self._http.request(
                operation.method,
                operation.path,
                params=operation.query,
                content=operation.content,
                headers=operation.headers,
                timeout=httpx.Timeout(operation.within_s),
            )
            answer = answer_of(response.status_code, response.content, response.headers)
        except Exception as error:  # whatever it is: no answer
            answer = Answer(0, {}, {}, type(error).__name__)
        return operation.meant(answer)

    def _run(self, flow: Flow[T]) -> T:
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            if isinstance(step, Send):
                result = post(self._http, step.request, step.within_s)
            elif isinstance(step, Wait):
                time.sleep(step.seconds)
                result = None
            elif isinstance(step, Block):
                result = step.work()
