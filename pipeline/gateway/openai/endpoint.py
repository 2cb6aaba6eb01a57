"""The routes under `/openai/v1`: read, ask the gateway's core, write. No rule lives here.

Status and headers wait until the turn is admitted and its prompt judged, so a refusal is a real status; a stream's
heartbeats begin after that. Whatever goes wrong is OpenAI's error envelope with `x-request-id`.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from endocrine.pipeline.gateway.openai.answer_headers import head_headers, header_text
from endocrine.pipeline.gateway.openai.answers import Answer, Delta, FinishReason
from endocrine.pipeline.gateway.openai.bodies import Bodies, Limits, body_too_large
from endocrine.pipeline.gateway.openai.chat_encoder import ChatStream, completion
from endocrine.pipeline.gateway.openai.chat_request import parse_chat
from endocrine.pipeline.gateway.openai.continuation import continuation
from endocrine.pipeline.gateway.openai.images import check_images, not_allowed
from endocrine.pipeline.gateway.openai.opening import turn_request
from endocrine.pipeline.gateway.openai.parsed import ParsedRequest
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller, Clock, Turn, TurnPort, TurnRequest
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.responses_encoder import ResponseForm, ResponsesStream
from endocrine.pipeline.gateway.openai.responses_request import parse_responses
from endocrine.pipeline.gateway.openai.server_sent_events import HEARTBEAT
from endocrine.pipeline.gateway.openai.turn_flow import answer_of
from endocrine.pipeline.gateway.sse import ticking

PREFIX = "/openai/v1"
SERVED = ("POST /chat/completions", "POST /responses", "GET /models", "GET /models/{id}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_UNKNOWN_RESULTS = ("unknown_tool_call", "missing_tool_result", "duplicate_tool_result")
_LOG = structlog.get_logger()


@dataclass(frozen=True)
class Endpoint:
    """The endpoint over a core. now: seconds since 1970. new_id: a fresh id, for `x-request-id`."""

    port: TurnPort
    now: Clock
    new_id: Callable[[], str]
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def _bodies(self) -> Bodies:
        return Bodies(self.limits)

    def routes(self, prefix: str = PREFIX) -> list[Route]:
        """Return the routes, with one that answers everything else under the prefix's first part."""
        first = "/" + prefix.strip("/").partition("/")[0]
        return [
            self._route(f"{prefix}/chat/completions", self._chat, "POST"),
            self._route(f"{prefix}/responses", self._responses, "POST"),
            self._route(f"{prefix}/models", self._models, "GET"),
            self._route(f"{prefix}/models/{{model:path}}", self._model, "GET"),
            self._route(f"{first}/{{rest:path}}", self._unknown, *METHODS),
            self._route(first, self._unknown, *METHODS),
        ]

    def _route(self, path: str, handler: Callable[[Request, str], Any], *methods: str) -> Route:
        return Route(path, self._guarded(path, handler), methods=list(methods))

    def _guarded(self, template: str, handler: Callable[[Request, str], Any]) -> Callable[[Request], Any]:
        async def run(request: Request) -> Response:
            request_id = getattr(request.state, "request_id", None) or header_text(self.new_id())
            request.scope["route_template"] = template
            try:
                self._check_headers(request)
                response: Response = await handler(request, request_id)
            except Refused as refused:
                return refusal(refused, request_id)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception:
                _LOG.exception("the endpoint failed", request_id=request_id)
                return refusal(Refused("internal_error"), request_id)
            response.headers["x-request-id"] = request_id
            return response

        return run

    def _check_headers(self, request: Request) -> None:
        # uvicorn lets more through than its limit says.
        size = sum(len(name) + len(value) + 4 for name, value in request.scope["headers"])
        if size + len(request.scope.get("query_string", b"")) > self.limits.header_bytes:
            raise Refused("headers_too_large")

    async def _caller(self, request: Request, scope: str) -> Caller:
        caller = await self.port.authenticate(request)
        if scope not in caller.scopes:
            raise Refused("insufficient_scope", f"The API key lacks the scope `{scope}`.")
        return caller

    async def _unknown(self, request: Request, request_id: str) -> Response:
        raise Refused("unknown_url", f"Unknown request URL. Served under {PREFIX}: {', '.join(SERVED)}.")

    async def _models(self, request: Request, request_id: str) -> Response:
        caller = await self._caller(request, "read")
        return _json({"object": "list", "data": [_model(name) for name in self.port.models(caller)]})

    async def _model(self, request: Request, request_id: str) -> Response:
        caller = await self._caller(request, "read")
        name = request.path_params["model"]
        if not self.port.may_use(caller, name):
            raise Refused("model_not_found", param="model")
        return _json(_model(name))

    async def _chat(self, request: Request, request_id: str) -> Response:
        caller, parsed, turn, answer_id = await self._turn(request, parse_chat)
        rules = self.port.rules(caller)
        created = int(self.now())
        if parsed.stream:
            stream = ChatStream(answer_id, parsed.model, created, include_usage=parsed.include_usage)
            return self._streamed(stream, turn, rules, rules.withheld_finish, request_id)
        answer = await _whole(turn, rules, rules.withheld_finish)
        return _json(completion(answer_id, parsed.model, created, answer), head_headers(turn.head))

    async def _responses(self, request: Request, request_id: str) -> Response:
        caller, parsed, turn, answer_id = await self._turn(request, parse_responses)
        rules = self.port.rules(caller)
        form = ResponseForm(answer_id, parsed, int(self.now()), turn.head.sent)
        if parsed.stream:
            return self._streamed(ResponsesStream(form), turn, rules, "content_filter", request_id)
        answer = await _whole(turn, rules, "content_filter")
        return _json(form.completed(answer), head_headers(turn.head))

    async def _turn(
        self, request: Request, parse: Callable[[bytes], ParsedRequest]
    ) -> tuple[Caller, ParsedRequest, Turn, str]:
        """Open or continue the turn of a request; also the id of its answer, the same whenever it is asked again."""
        caller = await self._caller(request, "capture")
        async with self._bodies.read(request) as body:
            parsed = parse(body)
            wanted = self._wanted(request, caller, parsed, body)
            parsed = replace(parsed, conversation=parsed.conversation.without_images())
            if not parsed.conversation.continues:
                turn = await self.port.open(caller, wanted)
                return caller, parsed, turn, turn.head.audit_id
            return caller, parsed, *await self._resumed(caller, parsed, wanted)

    def _wanted(self, request: Request, caller: Caller, parsed: ParsedRequest, body: bytes) -> TurnRequest:
        rules, images = self.port.rules(caller), parsed.conversation.images
        if len(body) - sum(one.sent_chars for one in images) > self.limits.body_bytes:
            raise body_too_large(self.limits)
        check_images(images, self.limits)
        would: tuple[str, ...] = ()
        if not self.port.may_use(caller, parsed.model):
            if caller.enforce:
                raise Refused("model_not_found", param="model")
            would = ("model_not_found",)
        if (refused := not_allowed(images, rules)) is not None:
            if caller.enforce:
                raise refused
            would = (*would, refused.code)
        return turn_request(
            parsed,
            caller,
            rules,
            request.headers,
            session_key=self.port.session_key,
            body_digest=hashlib.sha256(body).hexdigest(),
            would=would,
        )

    async def _resumed(self, caller: Caller, parsed: ParsedRequest, wanted: TurnRequest) -> tuple[Turn, str]:
        try:
            answered = parsed.conversation.answered()
            identity = str(wanted.opened["identity"])
            passed = await self.port.passed(caller, identity, [one.call_id for one in answered])
            going_on = continuation(answered, passed, wanted, parsed.conversation.messages[-1].place)
        except Refused as refused:
            if caller.enforce or refused.code not in _UNKNOWN_RESULTS:
                raise
            # Observe refuses nothing: what continues no turn that is known is recorded as a turn of its own.
            turn = await self.port.open(caller, replace(wanted, would=(*wanted.would, refused.code)))
            return turn, turn.head.audit_id
        turn = await self.port.resume(caller, going_on)
        step = hashlib.sha256(orjson.dumps([one.call_id for one in going_on.results])).hexdigest()[:12]
        return turn, f"{turn.head.audit_id}-{step}"

    def _streamed(
        self,
        stream: ChatStream | ResponsesStream,
        turn: Turn,
        rules: ApplicationRules,
        withheld: FinishReason,
        request_id: str,
    ) -> Response:
        headers = {**head_headers(turn.head), "cache-control": "no-cache", "x-accel-buffering": "no"}
        content = self._pieces(stream, turn, rules, withheld, request_id)
        return StreamingResponse(content, media_type="text/event-stream", headers=headers)

    async def _pieces(
        self,
        stream: ChatStream | ResponsesStream,
        turn: Turn,
        rules: ApplicationRules,
        withheld: FinishReason,
        request_id: str,
    ) -> AsyncIterator[bytes]:
        """The bytes of a stream. Whatever fails by now is an event: a silent end would be an empty answer to some."""
        yield stream.start()
        try:
            answers = answer_of(turn, rules, stream=True, withheld=withheld)
            async with aclosing(ticking(answers, self.limits.heartbeat_s)) as ticks:
                async for one in ticks:
                    if one is None:
                        yield HEARTBEAT
                    elif isinstance(one, Delta):
                        yield stream.text(one.text)
                    else:
                        yield stream.finish(one)
        except Refused as refused:
            yield stream.failure(refused)
        except Exception:
            _LOG.exception("a stream failed", request_id=request_id)
            yield stream.failure(Refused("internal_error"))


async def _whole(turn: Turn, rules: ApplicationRules, withheld: FinishReason) -> Answer:
    async with aclosing(answer_of(turn, rules, stream=False, withheld=withheld)) as answers:
        async for one in answers:
            if isinstance(one, Answer):
                return one
    raise Refused("decision_timeout", audit_id=turn.head.audit_id)


def refusal(refused: Refused, request_id: str) -> Response:
    """Return a refusal as a response."""
    headers = {**refused.headers(), "x-request-id": request_id}
    if refused.audit_id is not None:
        headers["endocrine-audit-id"] = header_text(refused.audit_id)
    return _json({"error": refused.error()}, headers, refused.status)


def _json(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, dict(headers or {}), "application/json")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "endocrine"}
