"""The conversation's state of one identity, as it is stored: JSON values of bounded size.

The keys are the contract of the changelog. Where code has another name for a value than its key, the field says it.
"""

from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from endocrine.schemas.vocabulary import Mode, Refusal, Stream

Json = dict[str, Any]
"""A record, or a part of one."""
Phase = Literal["opening", "retrieving", "ready", "asking", "tools", "judging"]
Judged = Literal["input", "output", "guardian"]
"""What a verdict is about: the prompt, the answer, or the answer by the guardian's model."""
Row = list[Any]
"""A JSON array with the fields of `Answered`."""


class Answered(NamedTuple):
    """An answered turn in the history of its session."""

    serial: int
    prompt: str
    answer: str


class EffectiveModulation(TypedDict):
    """What of a modulation a turn is held to."""

    revision: int
    refusal: Refusal | None
    expires: float | None
    """Event time at which a held turn is no longer waited for, seconds; null for other turns."""
    mode: Mode
    style: str
    risk: float
    """The alignment_risk in force, 0 to 1; 0 without."""
    parameters: Json
    application_tools: NotRequired[list[str]]
    """The application's functions that the model is offered."""


class Reservation(TypedDict):
    """A model request that is out."""

    id: str
    held: int
    """Tokens of the budget that are reserved for it."""
    until: float
    """Event time at which it is given up, seconds."""


class Verdict(Reservation):
    """A verdict that is out."""

    what: Judged


class CallResult(TypedDict):
    """What a tool call gave, moderated and shortened."""

    status: str
    text: NotRequired[str]
    snippets: NotRequired[list[list[str]]]
    """`[source, text]` of what the search before the first step found; such a result has no text."""


class Call(TypedDict):
    """A tool call of the turn's current step."""

    id: str
    short: str
    """The call's id in messages, where providers take 40 characters at most."""
    tool: str
    """Name of the function, as the model gave it."""
    arguments: str
    """JSON text, as the model is shown it again."""
    decision: str | None
    reason: str | None
    result: CallResult | None
    until: float
    """Event time at which the decision, a person's answer or the result is given up, seconds."""
    digest: NotRequired[str | None]
    """Of the arguments that the gate was asked about; absent where it was not."""
    runner: NotRequired[str]
    """`application` where that runs it."""


class Given(TypedDict):
    """What an application gave with its turn (`application.py`)."""

    messages: list[Json] | None
    """The conversation in the form of chat completions."""
    functions: list[Json]
    """`{name, description, parameters}` of those that it declared."""
    asked: Json | None
    """Its wishes."""
    enforce: bool
    """False where the turn is observed."""
    door: str | None
    client: str
    stream: Stream | None
    """`buffered` or `windowed`; null where nobody is streamed to."""
    judged: str | None
    """What of its messages is judged as input besides the prompt."""
    chars: int
    """Characters of messages and functions."""
    granted: int
    """Characters for outputs beyond what every turn has."""


class ContextParts(TypedDict):
    """What a context was made of."""

    memories: list[str]
    """Ids."""
    chunks: list[str]
    """Files of passages."""


class Turn(TypedDict):
    """An open turn that we answer."""

    application: NotRequired[Given]
    """Absent where the application gave none of it."""
    phase: Phase
    session: str
    model: str
    prompt: str
    context: str | None
    used: NotRequired[ContextParts]
    """What the context was made of; absent where the opening did not say."""
    upto: int
    """Serial of the last entry of its session's history that its model requests contain."""
    force: EffectiveModulation | None
    """The effective modulation; null until the first one."""
    need: float | None
    """The required risk: the alignment_risk that the modulation must show before the model is asked again."""
    tighten: bool
    """The gate stopped a call: the next step waits for the strict revision."""
    revision: NotRequired[int]
    """The revision that the gate named then, the least to wait for."""
    until: float
    """Event time at which waiting for a modulation ends, seconds."""
    step: int
    """Model steps so far, the current one included."""
    again: bool
    """Whether this step is a retry: it is asked a second time, after a veto."""
    holds: NotRequired[int]
    """How often the turn lost what the model had made because it was held; part of request ids."""
    stale: NotRequired[bool]
    """The request that is out was made before the turn was held: its answer is not used."""
    request: Reservation | None
    """The request for an answer that is out."""
    judges: dict[str, Verdict]
    """Verdicts that are out, by request id."""
    calls: list[Call]
    said: NotRequired[str]
    """Text beside the calls of this step."""
    snippets: list[list[str]]
    """`[source, text]`."""
    exchange: list[Json]
    """Messages of the steps so far: the model's calls and their outputs."""
    room: int
    """Characters left for tool outputs."""
    strictly: bool
    """Strict retry: a veto has made the instructions stricter."""
    concise: bool
    answer: str | None
    """The final text while it is judged."""
    cut: bool
    """The answer was truncated: it ended at the token limit or at the bound on its length."""
    usage: list[int]
    """Input and output tokens so far."""


class Budget(TypedDict):
    """Tokens of the running window (`budget.py`)."""

    start: float | None
    """Event time, seconds; null before the first request."""
    spent: int
    held: int
    """Reserved by requests that are out."""


class ConversationState(TypedDict):
    """The state of one identity."""

    now: float
    """Event time of the latest record that changed anything, seconds."""
    turns: dict[str, Turn]
    """Turns that we answer by audit_id, oldest first."""
    early: dict[str, EffectiveModulation]
    """Modulations whose turn was not seen opened yet, by audit_id, oldest first."""
    others: list[str]
    """audit_id of open turns that the application answers itself, oldest first."""
    closed: list[str]
    """audit_id of turns that ended recently, oldest first."""
    sessions: dict[str, list[Row]]
    """`Answered` by session_id, oldest first; the session used last comes last."""
    serial: int
    """Number of the last entry in `sessions`."""
    budget: Budget


EMPTY: ConversationState = {
    "now": 0.0,
    "turns": {},
    "early": {},
    "others": [],
    "closed": [],
    "sessions": {},
    "serial": 0,
    "budget": {"start": None, "spent": 0, "held": 0},
}
