"""What the OpenAI-compatible endpoint needs of the gateway's core, and the values that pass between them.

The core implements `TurnPort` over Kafka; tests play scripted turns. Every method may raise `Refused`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from starlette.requests import Request

from endocrine.schemas.images import ImageSource, MediaType
from endocrine.schemas.vocabulary import Decision, Finish, Images


@dataclass(frozen=True)
class Caller:
    """Who holds the API key of a request."""

    client: str
    """Name of the key: the `client` of its turns, and what `applications` of the policy names."""
    scopes: frozenset[str]
    enforce: bool = True
    """False: observe. Everything is decided and recorded, nothing is changed on the way."""
    identity: str | None = None
    """Identity of turns where the request names none; the client's name where left out."""
    identity_from: Literal["any", "header", "user", "fixed"] = "any"
    """Where the identity may come from; `fixed` ignores what the request says."""


@dataclass(frozen=True)
class ApplicationRules:
    """What the policy says about the caller's application."""

    reserved_names: frozenset[str] = frozenset()
    """Functions of our own tools, where `own_tools` offers them: the request may not declare them again."""
    stream: Literal["buffered", "windowed"] = "buffered"
    withheld_finish: Literal["content_filter", "stop"] = "content_filter"
    """`finish_reason` of a chat completion whose answer is withheld."""
    judge_history: bool = False
    images: Images = "all"
    """Which image parts may come in: all, those whose bytes are given (`data`), none."""


@dataclass(frozen=True)
class Image:
    """An image part: its bytes are no part of the turn's record."""

    digest: str
    """SHA-256 in hexadecimal."""
    source: ImageSource
    data: bytes = field(repr=False)
    """The bytes of the image, or of its address."""
    media_type: MediaType | None = None
    """Of a data URL, by its bytes; None of an address."""
    detail: str | None = None
    place: str = ""
    """Where in the request it is: `messages[0].content[1].image_url`."""
    message: int = 0
    """Number of its message in the conversation."""
    start: int = 0
    """Characters of the message's text before its note."""
    sent_chars: int = 0
    """Characters of it in the request."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


@dataclass(frozen=True)
class TurnRequest:
    """A turn to open. The core adds `audit_id` (from the idempotency key, where there is one) and `ts`."""

    opened: Mapping[str, Any]
    """Fields of `interactions.opened` but those two."""
    images: tuple[Image, ...] = ()
    idempotency_key: str | None = None
    body_digest: str = ""
    """SHA-256 of the body: another one under the same key is `idempotency_key_reused`."""
    would: tuple[str, ...] = ()
    """Under observe, what enforcing would have refused by now."""
    streamed: bool | None = None
    """Whether the client takes the answer while it comes; None where the policy judges it whole in any case."""


@dataclass(frozen=True)
class AnsweredCall:
    """A result that the application sent, with the call that it answers as the application wrote that again."""

    call_id: str
    name: str
    arguments: str
    content: str


@dataclass(frozen=True)
class Continuation:
    """A turn that goes on with the application's results; `results` are those of the latest step, in its order."""

    audit_id: str
    identity: str
    results: tuple[AnsweredCall, ...]
    request: TurnRequest
    """The request as a whole, for what it asks and declares now."""


@dataclass(frozen=True)
class PassedCall:
    """A call that was passed on to the application: decided allowed under a seal, or any under observe."""

    call_id: str
    name: str
    arguments: Mapping[str, Any] | str
    step: int


@dataclass(frozen=True)
class PassedTurn:
    """The turn that a call belongs to, with every call of it that was passed on, in the order of the replies."""

    audit_id: str
    calls: tuple[PassedCall, ...]


@dataclass(frozen=True)
class TurnHead:
    """What is known when headers go: the turn is admitted and its prompt judged."""

    audit_id: str
    mode: str
    policy: str
    revision: int
    asked: Mapping[str, Any] = field(default_factory=dict)
    sent: Mapping[str, Any] = field(default_factory=dict)
    would: tuple[str, ...] = ()
    not_offered: tuple[str, ...] = ()
    """Functions of the request that the model is not offered: not in the policy's lists, or not allowed now."""
    advice: str | None = None
    """`late` where strict defaults took the place of a modulation."""
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    """By hop, for `Server-Timing`."""


@dataclass(frozen=True)
class TextChunk:
    """A piece of a model's reply (`model-chunks`), in the order of `seq` from 0 within its request."""

    request_id: str
    seq: int
    text: str


@dataclass(frozen=True)
class Usage:
    """Tokens of a turn so far."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class ReplyCall:
    """A call that a model asks for."""

    call_id: str
    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True)
class Replied:
    """A model's reply of one step."""

    request_id: str
    step: int
    content: str | None
    calls: tuple[ReplyCall, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Decided:
    """The gate's decision on a call. `pending` is followed by another."""

    call_id: str
    decision: Decision
    reason: str | None = None
    application: bool = False
    """Whether the application runs it (`runner: application`); ours are never passed on."""
    arguments_digest: str | None = None
    """SHA-256 of the canonical arguments that were checked."""


@dataclass(frozen=True)
class ClosedTurn:
    """The turn is over; `response` is what the user gets, the fixed sentence where there is no answer."""

    finish: Finish
    response: str
    usage: Usage = field(default_factory=Usage)
    reason: str | None = None
    revision: int | None = None
    mode: str | None = None
    sent: Mapping[str, Any] | None = None
    would: tuple[str, ...] = ()
    refused: str | None = None
    """A code of `refusals` that says more than `finish`: `model_rate_limited` of a `model_error`."""
    retry_after_ms: int | None = None


TurnEvent = TextChunk | Replied | Decided | ClosedTurn


class Turn(Protocol):
    """A turn that was admitted."""

    head: TurnHead
    enforce: bool
    span: int
    """The longest span, in characters, of rules that block an output, 1 to 512; what `windowed` holds back."""

    def blocks(self, text: str) -> bool:
        """Return whether the local rules for output block a text; pure, under the policy of the turn."""
        ...

    def blocks_piece(self, text: str) -> bool:
        """Return whether those of them that name a span block a piece of a text."""
        ...

    def withheld(self) -> str:
        """Return the fixed sentence in place of a blocked output."""
        ...

    def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield what happens, in the order in which it is read, up to ClosedTurn. Closing the iterator frees the turn.

        Raises Refused (`decision_timeout`) where nothing comes before the deadline.
        """
        ...


class TurnPort(Protocol):
    """The gateway's core as the endpoint sees it."""

    session_key: bytes
    """Key of session digests; the same in every instance."""

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller by `authorization` or `x-api-key`, without keys by its address.

        Raises Refused: invalid_api_key, insufficient_scope, rate_limited.
        """
        ...

    def rules(self, caller: Caller) -> ApplicationRules:
        """Return what the policy says now about an application."""
        ...

    def models(self, caller: Caller) -> Sequence[str]:
        """Return the models that the policy names and the caller may use."""
        ...

    def may_use(self, caller: Caller, model: str) -> bool:
        """Return whether `models_allowed` has the model."""
        ...

    async def open(self, caller: Caller, request: TurnRequest) -> Turn:
        """Open a turn; return when it is admitted and its prompt judged.

        Raises Refused: content_policy_violation, insufficient_quota, rate_limited, turn_denied, decision_timeout,
        context_length_exceeded, idempotency_key_reused, overloaded.
        """
        ...

    async def passed(self, caller: Caller, identity: str, call_ids: Sequence[str]) -> PassedTurn | None:
        """Return the turn of this identity that the last of these calls was passed on for; None where there is none."""
        ...

    async def resume(self, caller: Caller, continuation: Continuation) -> Turn:
        """Write the results and go on; a second time with the same results, it is the same continuation.

        Raises Refused: insufficient_quota, decision_timeout, idempotency_key_reused, unknown_tool_call where the turn
        is closed.
        """
        ...


Clock = Callable[[], float]
"""Seconds since 1970-01-01 UTC."""
