"""Replies of chat completions, whole and streamed. Habits of servers, with their tests: docs/models.md."""

from collections.abc import Mapping
from typing import Any

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.pipeline.connectors.model.content import add_message
from endocrine.pipeline.connectors.model.failures import Hidden, Malformed, StreamCut
from endocrine.pipeline.connectors.model.json_values import count, kind, mapping, model_name, objects, position
from endocrine.pipeline.connectors.model.outcome import Draft, Outcome, finish_word
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of
from endocrine.pipeline.connectors.model.tool_calls import CallJoiner

_ELSEWHERE = frozenset({"delta", "message", "content", "text", "response", "output", "tool_calls", "candidates"})
"""Where other APIs have what a chunk of ours has in `choices`."""

_OF_A_CHOICE = frozenset({"delta", "message", "finish_reason", "index", "text"})
"""What a choice without a delta has one of: Azure's results of its filter have an index and a finish."""

_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
"""Tokens from the cache as DeepSeek, Moonshot and Anthropic name them, beside the two sums."""


class ChatReply:
    """One reply while it is read. `whole` once, or `event` for each of a stream and then `outcome`."""

    def __init__(self, bounds: ReplyBounds, hidden: Hidden) -> None:
        self._draft = Draft(bounds)
        self._calls = CallJoiner(self._draft)
        self._hidden = hidden
        self.done = False
        """Whether the stream has announced its end."""

    @property
    def finished(self) -> bool:
        """Whether it may end here: a reason to end was given, or the mark of the end."""
        return self.done or self._draft.finish is not None

    @property
    def so_far(self) -> str:
        """Text of the answer so far."""
        return self._draft.so_far

    def whole(self, body: Any) -> Outcome:
        """Return the outcome of a reply that is no stream. Raises Failed."""
        self._refuse_errors(body)
        if not isinstance(body, Mapping):
            raise Malformed(f"it is {kind(body)}, expected an object")
        choices = self._choices(body)
        if not choices:
            raise Malformed("it has no `choices`")
        self._about(body)
        texts = 0
        for choice in choices:
            self._refuse_errors(choice, mandatory=False)
            message = choice.get("message")
            if not isinstance(message, Mapping):
                raise Malformed(f"`message` is {kind(message)}, expected an object")
            before = self._draft.chars
            self._message(message)
            texts += message.get("content") not in (None, "", []) and self._draft.chars > before
            if texts > 1:
                raise Malformed("it has several choices where one was asked for")
            self._draft.ends(finish_word(choice.get("finish_reason")))
        return self._draft.outcome(self._calls.calls())

    def event(self, name: str, chunk: Any) -> None:
        """Take in a chunk. Raises Failed."""
        self._refuse_errors(chunk)
        if not isinstance(chunk, Mapping):
            raise Malformed(f"a chunk is {kind(chunk)}, expected an object")
        if "choices" not in chunk and chunk.keys() & _ELSEWHERE:
            raise Malformed("a chunk has no `choices` and is of another API")
        self._about(chunk)
        for choice in self._choices(chunk):
            self._about(choice)  # Moonshot has the usage in the last choice
            self._choice(choice)

    def outcome(self) -> Outcome:
        """Return the outcome of the stream. Raises Failed; StreamCut where it has not ended."""
        if not self.finished or (self._draft.finish is None and self._calls.unfinished):
            raise StreamCut
        return self._draft.outcome(self._calls.calls())

    def _choices(self, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The choices of a body or chunk: parts of one, as one is asked for (Copilot gives text and calls apart)."""
        choices = objects(body.get("choices"), "choices")
        for choice in choices:
            index = position(choice.get("index"), "choices.index")
            if index is not None:
                self._index = index if self._index is None else self._index
                if index != self._index:
                    raise Malformed("it has several choices where one was asked for")
        return choices

    _index: int | None = None
    """The index of the choice; some count from 1."""

    def _choice(self, choice: Mapping[str, Any]) -> None:
        self._refuse_errors(choice, mandatory=False)
        delta = choice.get("delta")
        if delta is None:
            if not choice.keys() & _OF_A_CHOICE:
                raise Malformed("a choice holds nothing that a choice may hold")
            delta = choice.get("message") if not self._started else None  # a whole reply in one event
            if isinstance(delta, Mapping):
                self._message(delta)
                delta = None
            elif choice.get("text"):
                raise Malformed("a chunk has `text` in place of `delta`: it is of the legacy completions API")
        if delta is not None:
            if not isinstance(delta, Mapping):
                raise Malformed(f"`delta` is {kind(delta)}, expected an object")
            self._started = self._started or any(given for name, given in delta.items() if name != "role")
            add_message(self._draft, delta)
            self._calls.add_pieces(delta.get("tool_calls"))
            if (call := delta.get("function_call")) is not None:
                self._calls.add_pieces([call])
        self._draft.ends(finish_word(choice.get("finish_reason")))

    _started = False
    """Whether a delta holds any content."""

    def _message(self, message: Mapping[str, Any]) -> None:
        add_message(self._draft, message)
        self._calls.add_whole(message.get("tool_calls"))
        if (call := message.get("function_call")) is not None and not len(self._calls):
            self._calls.add_whole([call])

    def _about(self, body: Mapping[str, Any]) -> None:
        """Model and usage; the last that is given holds."""
        self._draft.model = model_name(body.get("model")) or self._draft.model
        usage = mapping(body.get("usage")) or mapping(mapping(body.get("x_groq")).get("usage"))
        tokens_in, tokens_out = (
            next((tokens for name in names if (tokens := count(usage.get(name))) is not None), None)
            for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
        )
        if tokens_in is not None or tokens_out is not None:
            cached = count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
            if cached is None:
                cached = next((tokens for name in _CACHED if (tokens := count(usage.get(name)))), 0)
            self._draft.usage = (tokens_in, cached, tokens_out)

    def _refuse_errors(self, body: Any, mandatory: bool = True) -> None:
        error = error_in(body) if mandatory else body.get("error")
        if not error and isinstance(body, Mapping):
            error = mapping(body.get("x_groq")).get("error")
        if error:
            raise failure_of(error, self._hidden)
