"""A reply as it is built up while it is read, and as it is in the end: the same for both APIs."""

import re
from dataclasses import dataclass
from io import StringIO
from typing import Any

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.agents.conversation.reasoning import visible
from endocrine.pipeline.connectors.model.failures import Failed, Malformed, TooLarge
from endocrine.pipeline.connectors.model.json_values import arguments_of, clean

_FINISHES = {
    "stop": (
        "stop",
        "end_turn",
        "stop_sequence",
        "stop_str",
        "stop_string",
        "stop_token",
        "eos",
        "eos_token",
        "eos_found",
        "eod",
        "endoftext",
        "end_of_text",
        "complete",
        "completed",
        "done",
        "end",
        "finish",
        "finished",
        "normal",
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "tooluse", "toolcalls", "function_call"),
    "length": (
        "length",
        "length_limit",
        "max_tokens",
        "maxtokens",
        "max_length",
        "max_new_tokens",
        "max_completion_tokens",
        "max_output",
        "max_output_tokens",
        "token_limit",
        "error_limit",
        "model_length",
        "context_length",
        "context_length_exceeded",
        "model_context_window_exceeded",
        "pause_turn",
    ),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "contentfilter",
        "content_policy",
        "content_policy_violation",
        "error_toxic",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "safety",
        "refusal",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",
        "guardrail_intervened",
    ),
    "error": (
        "error",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "network_error",
        "user_cancel",
        "user_cancelled",
        "timeout",
        "time_limit",
        "overloaded",
        "engine_overloaded",
        "insufficient_system_resource",
        "malformed_function_call",
        "malformed_response",
        "malformed_model_output",
        "malformed_tool_use",
        "missing_thought_signature",
        "language",
        "no_image",
        "image_other",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "repetition",
        "repetition_truncation",
        "other",
    ),
}
_WORDS = {theirs: ours for ours, words in _FINISHES.items() for theirs in words}
_NO_REASON = frozenset({"", "null", "none", "undefined", "unknown", "unspecified", "finish_reason_unspecified"})
"""What servers write that know no reason, or none yet."""
_END_TOKEN = re.compile(r"</?[^<>\s]{1,40}>")
"""The mark that a model's template ends with, which Together and others give as it is: `<|im_end|>`, `</s>`."""
_IN_NOTATION = re.compile(
    r"\s*(?:<tool_call>|<\|tool_call|<\|python_tag\|>|\[TOOL_CALLS\]|<function=[A-Za-z_]|<function_calls>"
    r"|<(?:minimax|seed):tool_call>|<\uff5ctool\u2581calls?\u2581begin\uff5c>|<\uff5cDSML\uff5c)"
)
"""A text that begins so is a call in the notation of a model's template (Hermes, Qwen and GLM, Llama, Mistral, Claude,
MiniMax, Seed, DeepSeek)."""
_NOTATIONS = (
    ("<tool_call>", "</tool_call>"),
    ("<function_calls>", "</function_calls>"),
    ("<minimax:tool_call>", "</minimax:tool_call>"),
    ("<seed:tool_call>", "</seed:tool_call>"),
    ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    ("<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>"),
    ("<\uff5cDSML\uff5cfunction_calls>", "</\uff5cDSML\uff5cfunction_calls>"),
)
"""How such a call opens at the beginning of a line and closes at the end of the text, with words before it."""
_NAMESPACE = "functions."
_NUMBER = re.compile(r":[0-9]{1,6}\Z")
_WRITES_NAMESPACE = re.compile(r"gpt-oss|kimi", re.IGNORECASE)
"""Names of models that write the name space of an application's functions before their names."""
_WEIGHT = ("stop", "tool_calls", "length", "content_filter", "error")
"""Where a stream gives several, the weightiest holds."""


@dataclass(frozen=True)
class Outcome:
    """A reply, the same for both APIs."""

    content: str | None
    """Without reasoning; None: no visible text."""
    refusal: str | None
    calls: tuple[tuple[str, dict[str, Any] | str], ...]
    """(function, arguments): an object, or the text as it came where it is not an object."""
    finish_reason: str
    """stop, tool_calls, length, content_filter."""
    model: str | None
    input_tokens: int | None
    cached_tokens: int
    """Of the input tokens, those from the provider's cache."""
    output_tokens: int | None
    problem: str | None = None
    """Why it is no answer though it was read: `kind: sentence`."""
    reasoning_chars: int = 0
    """Characters of reasoning that were left out."""


def finish_word(given: object, what: str = "finish_reason") -> str | None:
    """Return the records' term for a finish reason; None: no reason yet. Raises Malformed for an unknown one.

    >>> finish_word("STOP"), finish_word("tool-calls"), finish_word("<|im_end|>"), finish_word("unknown")
    ('stop', 'tool_calls', 'stop', None)
    """
    if given is None:
        return None
    if not isinstance(given, str):
        raise Malformed(f"`{what}` is not a text")
    # Gemini's endpoint writes `content_filter: SAFETY`, its own API `FINISH_REASON_SAFETY` in some languages.
    # Proxies around Python clients write the name of the enumeration too: `FinishReason.STOP`.
    plain = given.partition(":")[0].strip().lower().replace("-", "_").removeprefix("finishreason.")
    if plain in _NO_REASON:
        return None
    word = "stop" if _END_TOKEN.fullmatch(plain) else _WORDS.get(plain.removeprefix("finish_reason_"))
    if word is None:
        raise Malformed(f"`{what}` has an unknown value")
    return word


class Draft:
    """What was read so far. Raises TooLarge as soon as it is beyond a bound."""

    def __init__(self, bounds: ReplyBounds) -> None:
        self.bounds = bounds
        self.model: str | None = None
        self.usage: tuple[int | None, int, int | None] = (None, 0, None)
        """Input tokens, cached ones of them, output tokens."""
        self.finish: str | None = None
        self.reasoning_chars = 0
        self._content = StringIO()
        self._refusal = StringIO()
        self._chars = 0

    def text(self, piece: str) -> None:
        """Take more of the answer."""
        self.spend(len(piece))
        self._content.write(piece)

    @property
    def so_far(self) -> str:
        """The answer so far, reasoning that the model writes into it included."""
        return self._content.getvalue()

    @property
    def chars(self) -> int:
        """Characters kept so far."""
        return self._chars

    def refuse(self, piece: str) -> None:
        """Take more of a refusal."""
        self.spend(len(piece))
        self._refusal.write(piece)

    def spend(self, chars: int) -> None:
        """Spend characters that are kept."""
        self._chars += chars
        if self._chars > self.bounds.text_chars:
            raise TooLarge(f"has more than {self.bounds.text_chars} characters (models.bounds.text_chars)")

    def ends(self, word: str | None) -> None:
        """Note a reason to end."""
        if word is not None and (self.finish is None or _WEIGHT.index(word) > _WEIGHT.index(self.finish)):
            self.finish = word

    def outcome(self, calls: list[tuple[str, Any]]) -> Outcome:
        """Return the reply, its reason to end checked against what it holds. calls: (name, arguments as they came)."""
        if self.finish == "error":
            raise Failed("provider_error", "the provider ended the reply with an error", retry=True)
        if len(calls) > self.bounds.calls:
            raise TooLarge(f"has more than {self.bounds.calls} tool calls (models.bounds.calls)")
        read = tuple((self._name(name), arguments_of(given, self.bounds.depth)) for name, given in calls)
        content, inline = visible(clean(self._content.getvalue()))
        refusal = clean(self._refusal.getvalue()) or None
        reasoning = self.reasoning_chars + inline
        finish, problem = self.finish or "stop", None
        if refusal is None and finish != "content_filter":
            if finish == "tool_calls" and not read:
                raise Malformed("it ends for tool calls and holds none")
            if finish == "stop" and read:
                finish = "tool_calls"
            problem = _problem(
                finish, content, read, reasoning, unfinished=any(one in (None, "") for _, one in calls[-1:])
            )
        shown = content if content.strip() and problem is None else None
        model, (tokens_in, cached, tokens_out) = self.model, self.usage
        return Outcome(shown, refusal, read, finish, model, tokens_in, cached, tokens_out, problem, reasoning)

    def _name(self, given: object) -> str:
        name, marked, _ = (clean(given).strip() if isinstance(given, str) else "").partition("<|")
        # gpt-oss and Kimi: `functions.look`, `functions.look:0`, and `look<|channel|>json` where a server did not take
        # the marks off. Of any other model a prefix makes another name.
        if name.startswith(_NAMESPACE) and (marked or _WRITES_NAMESPACE.search(self.model or "")):
            name = _NUMBER.sub("", name.removeprefix(_NAMESPACE))
        if not name:
            raise Malformed("a tool call has no name")
        return name


def _is_in_notation(content: str) -> bool:
    """Whether a text is, or ends in, a call that a server should have taken apart."""
    if _IN_NOTATION.match(content):
        return True
    ending = content.rstrip()
    return any(ending.endswith(closing) and f"\n{opening}" in ending for opening, closing in _NOTATIONS)


def _problem(
    finish: str, content: str, calls: tuple[tuple[str, Any], ...], reasoning: int, *, unfinished: bool
) -> str | None:
    """Why a reply is no answer. unfinished: no character of the last call's arguments came."""
    if finish == "length" and (unfinished or any(isinstance(arguments, str) for _, arguments in calls)):
        return "token_limit: the token limit was reached in the middle of a tool call"
    if not calls and _is_in_notation(content):
        return "malformed_reply: the text is a tool call that the server did not take apart; check its tool parser"
    if calls or content.strip():
        return None
    if finish == "length":
        return f"token_limit: the token limit was reached before any visible text ({reasoning} characters of reasoning)"
    return f"empty_reply: the reply holds neither text nor a call ({reasoning} characters of reasoning)"
