"""A turn's events to what its application gets: pieces of text, then the end of the answer."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from endocrine.pipeline.gateway.openai.answers import (
    NO_USAGE,
    WITHHELD,
    Answer,
    Delta,
    FinishReason,
    finish_of,
    refusal_of,
)
from endocrine.pipeline.gateway.openai.call_holder import CallHolder
from endocrine.pipeline.gateway.openai.port import (
    ApplicationRules,
    ClosedTurn,
    Decided,
    Replied,
    ReplyCall,
    TextChunk,
    Turn,
    TurnEvent,
    Usage,
)
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.window import Window

DELTA_CHARS = 96
"""Characters of one piece of a buffered answer."""


async def answer_of(
    turn: Turn, rules: ApplicationRules, *, stream: bool, withheld: FinishReason
) -> AsyncGenerator[Delta | Answer, None]:
    """Follow a turn: any number of Delta, then one Answer. Raises Refused, also after a Delta.

    stream: whether text may go out before the end; else there is no Delta. withheld: finish reason of a withheld
    answer.
    """
    flow = _Flow(turn, rules, stream, withheld)
    async with aclosing(turn.events()) as events:
        async for event in events:
            for one in flow.on(event):
                yield one
                if isinstance(one, Answer):
                    return
    raise Refused("decision_timeout", audit_id=turn.head.audit_id)


class _Flow:
    def __init__(self, turn: Turn, rules: ApplicationRules, stream: bool, withheld: FinishReason) -> None:
        self._turn, self._stream, self._withheld = turn, stream, withheld
        self._holder = CallHolder(turn.enforce)
        self._denied: Counter[str] = Counter()
        self._counted: set[int] = set()
        """Steps whose denials are counted."""
        self._content_withheld = False
        self._windowed = stream and rules.stream == "windowed"
        self._window: Window | None = None
        self._request: str | None = None
        self._next_seq = 0
        self._sent = ""
        """Everything that went out."""
        self._before = 0
        """Characters of it that are of earlier replies."""

    def on(self, event: TurnEvent) -> Iterator[Delta | Answer]:
        """Return what an event lets out."""
        if isinstance(event, TextChunk):
            yield from self._chunk(event)
        elif isinstance(event, Replied):
            self._holder = self._holder.replied(event)
            yield from self._calls()
        elif isinstance(event, Decided):
            self._holder = self._holder.decided(event)
            yield from self._calls()
        elif isinstance(event, ClosedTurn):
            yield from self._closed(event)

    def _chunk(self, chunk: TextChunk) -> Iterator[Delta | Answer]:
        if not self._windowed:
            return
        if chunk.request_id != self._request:
            yield from self._text("\n\n" if self._sent else "")
            self._request, self._next_seq, self._before = chunk.request_id, 0, len(self._sent)
            self._window = self._new_window()
        if chunk.seq == 0 and self._next_seq:
            # A connector took over and asked anew: what went out is part of no reply any more.
            raise Refused("model_error", audit_id=self._turn.head.audit_id)
        if chunk.seq != self._next_seq or self._window is None:  # a copy, or one that lacks its predecessor
            return
        self._next_seq += 1
        yield from self._text(self._window.feed(chunk.text))
        yield from self._cut_off()

    def _new_window(self) -> Window:
        turn = self._turn
        if turn.enforce:
            return Window(turn.blocks, turn.blocks_piece, turn.span)
        return Window(lambda text: False, lambda text: False, 1)

    def _cut_off(self) -> Iterator[Delta | Answer]:
        """End the stream where the window is blocked: the sentence follows what went out."""
        if self._window is not None and self._window.blocked:
            yield from self._sentence(self._turn.withheld())
            yield self._answer(self._withheld, finish="output_blocked", streamed="windowed")

    def _sentence(self, sentence: str) -> Iterator[Delta]:
        yield from self._text(f"\n\n{sentence}" if self._sent else sentence)

    def _calls(self) -> Iterator[Delta | Answer]:
        state, reply = self._holder.state, self._holder.reply
        if reply is None or state in ("no_calls", "waiting"):
            return
        if reply.step not in self._counted:
            self._counted.add(reply.step)
            self._denied.update(self._holder.denials())
        if state != "passes":
            return
        yield from self._beside_calls(reply)
        if self._window is None or not self._window.blocked:
            facts = {"content": "withheld"} if self._content_withheld else {}
            passed = self._holder.passed()
            yield self._answer("tool_calls", calls=passed, usage=reply.usage, finish="tool_calls", **facts)

    def _beside_calls(self, reply: Replied) -> Iterator[Delta | Answer]:
        """The text that a reply has beside its calls, judged here: the agent judges answers alone."""
        content = reply.content or ""
        if self._window is not None and self._request == reply.request_id:
            if content.startswith(self._window.text):
                yield from self._text(self._window.feed(content[len(self._window.text) :]))
            yield from self._text(self._window.finish())
            yield from self._cut_off()
            return
        if content and self._turn.enforce and self._turn.blocks(content):
            self._content_withheld = True
            return
        yield from self._deltas(content)
        if not self._stream:
            self._sent = content

    def _closed(self, closed: ClosedTurn) -> Iterator[Delta | Answer]:
        refused = refusal_of(closed, self._turn.head.audit_id)
        if refused is not None:
            raise refused
        sent = self._sent[self._before :] if self._window is not None else ""
        if not sent:
            text = f"\n\n{closed.response}" if self._sent and closed.response else closed.response
        elif closed.response.startswith(sent) and closed.finish not in WITHHELD:
            text = closed.response[len(sent) :]
        else:  # the sentence in place of the answer, or another reply than was streamed
            text = f"\n\n{closed.response}"
        yield from self._deltas(text)
        if not self._stream:
            self._sent = text
        facts: dict[str, Any] = {"finish": closed.finish, "reason": closed.reason, "mode": closed.mode}
        facts |= {"revision": closed.revision, "sent": closed.sent, "would": list(closed.would) or None}
        facts["not_offered"] = list(self._turn.head.not_offered) or None
        if self._windowed:
            facts["streamed"] = "windowed"
        # Under observe nothing is withheld, whatever enforcing would have done.
        ends_as = finish_of(closed, self._withheld if self._turn.enforce else "stop")
        yield self._answer(ends_as, usage=closed.usage, **facts)

    def _deltas(self, text: str) -> Iterator[Delta]:
        if self._stream:
            for start in range(0, len(text), DELTA_CHARS):
                yield from self._text(text[start : start + DELTA_CHARS])

    def _text(self, text: str) -> Iterator[Delta]:
        if text:
            self._sent += text
            yield Delta(text)

    def _answer(
        self,
        ends_as: FinishReason,
        *,
        usage: Usage = NO_USAGE,
        calls: tuple[ReplyCall, ...] = (),
        **facts: Any,
    ) -> Answer:
        found = {"audit_id": self._turn.head.audit_id, **facts, "denied": dict(self._denied) or None}
        kept = {name: value for name, value in found.items() if value is not None}
        return Answer(self._sent, ends_as, calls, usage, kept)
