"""A gateway's core that plays turns by script: for the OpenAI-compatible endpoint, and clients that are tried on it."""

import asyncio
import contextlib
import hashlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.gateway.openai.bodies import Limits
from endocrine.pipeline.gateway.openai.endpoint import Endpoint
from endocrine.pipeline.gateway.openai.port import (
    ApplicationRules,
    Caller,
    ClosedTurn,
    Continuation,
    Decided,
    PassedCall,
    PassedTurn,
    Replied,
    ReplyCall,
    TextChunk,
    TurnEvent,
    TurnHead,
    TurnRequest,
    Usage,
)
from endocrine.pipeline.gateway.openai.refusals import Refused

SENTENCE = "This answer is withheld."
FORBIDDEN = "rm_everything"
USAGE = Usage(11, 7)


def digest(arguments: Mapping[str, Any]) -> str:
    """What a decision names."""
    return hashlib.sha256(canonical_json(dict(arguments))).hexdigest()


def allowed(call: ReplyCall, **other: Any) -> Decided:
    """The decision that lets a call of the application pass."""
    arguments = call.arguments if isinstance(call.arguments, Mapping) else orjson.loads(call.arguments)
    return Decided(call.call_id, "allowed", application=True, arguments_digest=digest(arguments), **other)


def denied(call: ReplyCall, reason: str = "not_in_allowlist") -> Decided:
    """The decision that holds one back."""
    return Decided(call.call_id, "denied", reason, application=True)


def closed(response: str, finish: str = "answered", **other: Any) -> ClosedTurn:
    """The end of a turn."""
    return ClosedTurn(finish, response, USAGE, **other)  # type: ignore[arg-type]


Played = TurnEvent | Refused | asyncio.Event | Exception
Script = Sequence[Played] | Refused


@dataclass
class ScriptedTurn:
    """One turn: its events in order; an asyncio.Event is waited for."""

    head: TurnHead
    script: Sequence[Played]
    enforce: bool = True
    span: int = 64
    port: Any = None

    def blocks(self, text: str) -> bool:
        return "SECRET" in text

    def blocks_piece(self, text: str) -> bool:
        return self.blocks(text)

    def withheld(self) -> str:
        return SENTENCE

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        self.port.following += 1
        self.port.loop = asyncio.get_running_loop()
        try:
            for one in self.script:
                if isinstance(one, asyncio.Event):
                    await one.wait()
                elif isinstance(one, Exception):
                    raise one
                else:
                    self._keep(one)
                    yield one
        finally:
            self.port.following -= 1

    def _keep(self, event: TurnEvent) -> None:
        """Keep what is passed on, as sealed decisions would be read."""
        if isinstance(event, Replied):
            self.port.replied[self.head.audit_id] = event
        elif isinstance(event, Decided) and (event.decision == "allowed" or not self.enforce):
            reply = self.port.replied[self.head.audit_id]
            call = next(call for call in reply.calls if call.call_id == event.call_id)
            passed = PassedCall(call.call_id, call.name, call.arguments, reply.step)
            self.port.passed_on.setdefault(self.head.audit_id, []).append(passed)


@dataclass
class ScriptedPort:
    """Plays the script of a prompt; `then` is what follows the results of the application."""

    scripts: dict[str, Script] = field(default_factory=dict)
    then: dict[str, Script] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    application: ApplicationRules = field(default_factory=ApplicationRules)
    session_key: bytes = b"k" * 32
    opened: list[TurnRequest] = field(default_factory=list)
    resumed: list[Continuation] = field(default_factory=list)
    passed_on: dict[str, list[PassedCall]] = field(default_factory=dict)
    replied: dict[str, Replied] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    following: int = 0
    """Turns whose events are being read."""
    loop: Any = None
    """The server's loop."""

    async def authenticate(self, request: Request) -> Caller:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in self.callers:
            raise Refused("invalid_api_key")
        return self.callers[key]

    def rules(self, caller: Caller) -> ApplicationRules:
        return self.application

    def models(self, caller: Caller) -> Sequence[str]:
        return ["small", "vendor/large"]

    def may_use(self, caller: Caller, model: str) -> bool:
        return model in self.models(caller)

    async def open(self, caller: Caller, request: TurnRequest) -> ScriptedTurn:
        self.opened.append(request)
        prompt = request.opened["prompt"]
        audit_id = f"turn-{len(self.opened)}"
        self.prompts[audit_id] = prompt
        return self._turn(audit_id, caller, request, self.scripts.get(prompt, (closed("An answer."),)))

    async def passed(self, caller: Caller, identity: str, call_ids: Sequence[str]) -> PassedTurn | None:
        for audit_id, calls in self.passed_on.items():
            if call_ids[-1] in {call.call_id for call in calls}:
                order = [call.call_id for call in self.replied[audit_id].calls]
                return PassedTurn(audit_id, tuple(sorted(calls, key=lambda call: order.index(call.call_id))))
        return None

    async def resume(self, caller: Caller, continuation: Continuation) -> ScriptedTurn:
        self.resumed.append(continuation)
        script = self.then[self.prompts[continuation.audit_id]]
        return self._turn(continuation.audit_id, caller, continuation.request, script)

    def _turn(self, audit_id: str, caller: Caller, request: TurnRequest, script: Script) -> ScriptedTurn:
        if isinstance(script, Refused):
            raise script
        sent = {"temperature": 0.1, "top_p": 0.5, "max_output_tokens": 256}
        would = (*request.would, "denied") if not caller.enforce else ()
        head = TurnHead(audit_id, "strict", "ab" * 32, 0, request.opened["asked"], sent, would)
        return ScriptedTurn(head, script, caller.enforce, port=self)


@contextlib.contextmanager
def served(port: ScriptedPort, **limits: Any) -> Iterator[str]:
    """The base URL of the endpoint over the port, on a real server in a thread."""
    ids = iter(range(10**9))
    endpoint = Endpoint(port, lambda: 1_700_000_000.0, lambda: f"request-{next(ids)}", Limits(**limits))
    with serving(Starlette(routes=endpoint.routes())) as address:
        yield f"{address}/openai/v1"


@contextlib.contextmanager
def serving(application: Any) -> Iterator[str]:
    """An application on a loopback port; stopped at the end."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def weather(city: str = "Bonn", call_id: str = "call_1") -> ReplyCall:
    """A call of the application's own tool."""
    return ReplyCall(call_id, "weather", {"city": city})


def chunks(text: str, size: int, request_id: str = "r1") -> list[TextChunk]:
    """A text in pieces."""
    return [TextChunk(request_id, at // size, text[at : at + size]) for at in range(0, len(text), size)]


def standard_port(make: Callable[..., ScriptedPort] = ScriptedPort) -> ScriptedPort:
    """A port with a script for each row of the specification's table."""
    scopes = frozenset({"capture", "read"})
    forbidden = ReplyCall("call_evil", FORBIDDEN, {"path": "/forbidden-argument"})
    another = ReplyCall("call_evil_2", FORBIDDEN, {"path": "/forbidden-argument"})
    one, two, three = weather("Bonn", "call_1"), weather("Köln", "call_2"), weather("Bonn", "call_3")
    tools = (
        Replied("r1", 1, None, (one, forbidden, two)),
        allowed(two),
        denied(forbidden),
        allowed(one),
    )
    return make(
        scripts={
            "hello": (closed("Hello, wörld. " * 20),),
            "cut": (closed("A cut ans", "cut"),),
            "blocked prompt": Refused("content_policy_violation", audit_id="turn-x"),
            "budget": Refused("insufficient_quota"),
            "no decision": Refused("decision_timeout"),
            "rate": Refused("rate_limited", retry_after_ms=1),
            "withheld": (closed(SENTENCE, "output_blocked", reason="secrets"),),
            "steps": (closed("I could not do that.", "step_limit"),),
            "model limited": (closed("", "model_error", refused="model_rate_limited", retry_after_ms=1500),),
            "model error": (closed("", "model_error"),),
            "model timeout": (closed("", "model_timeout"),),
            "late failure": (Refused("model_error", audit_id="turn-x"),),
            "broken": (RuntimeError("a bug, with private words"),),
            "weather": tools,
            "allowed tool": (Replied("r1", 1, None, (three,)), allowed(three)),
            "forbidden tool": (Replied("r1", 1, None, (forbidden,)), denied(forbidden), closed("Then without.")),
            "all denied": (
                Replied("r1", 1, None, (forbidden, another)),
                denied(another),
                denied(forbidden),
                closed("Then without."),
            ),
            "windowed": (
                *chunks("All is well. " * 40 + "The key is SECRET now.", 7),
                closed(SENTENCE, "output_blocked"),
            ),
        },
        then={
            "weather": (closed("It rains in Bonn, not in Köln."),),
            "allowed tool": (closed("It rains in Bonn."),),
        },
        callers={
            "good": Caller("shop", scopes, identity="shop-key"),
            "watch": Caller("watcher", scopes, enforce=False),
            "none": Caller("poor", frozenset()),
        },
    )
