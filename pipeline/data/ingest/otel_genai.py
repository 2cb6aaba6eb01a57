"""Format `otel-genai`: JSON lines of OpenTelemetry spans or events of calls to a model (`gen_ai.*`).

A call is sent the whole conversation so far: its last message of the user is the prompt, its output the response; what
came before is history and belongs to earlier calls. Calls of one trace that go on after a tool, and the spans around
them, are the same turn.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from endocrine.pipeline.data.ingest.lines import objects
from endocrine.pipeline.data.ingest.model import Noted, Options, Pieces, Refused, Skipped, Turn
from endocrine.pipeline.data.ingest.otel_messages import Exchange, Message, exchange_of
from endocrine.pipeline.data.ingest.otel_spans import Span, spans_of
from endocrine.pipeline.data.ingest.values import text_or_none

EXPECTED = "one OpenTelemetry span or event per line, with `gen_ai.*` attributes or events that hold the messages"
MAX_TRACES = 4096
"""Traces kept while more of their spans may come; beyond, the oldest is complete."""
MAX_IDENTITY = 256
_IDENTITIES = ("user.id", "enduser.id", "gen_ai.user.id")
_SESSIONS = ("gen_ai.conversation.id", "session.id")


@dataclass(slots=True)
class Call:
    """One call of a model, with what its turn needs."""

    where: str
    span: Span
    exchange: Exchange
    ask: int
    """Place of the prompt in the input."""
    asks: int
    """Messages of the user in the input."""

    @property
    def prompt(self) -> str:
        """The text of the last message of the user."""
        return self.exchange.input[self.ask].text

    @property
    def is_fresh(self) -> bool:
        """Whether the prompt is new to the model: no answer and no call follows it."""
        return self.ask == len(self.exchange.input) - 1


@dataclass(slots=True)
class Trace:
    """What is kept of one trace until it is complete."""

    calls: list[Call] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)
    by_span: dict[str, Span] = field(default_factory=dict)
    """Spans whose messages are, in part, in log records; both are one call."""


class Reader:
    """Reads files of spans one after the other; a trace may go on in the next."""

    def __init__(self, options: Options) -> None:
        self._last_ts = options.start_ts
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._lone = 0

    def read(self, stream: BinaryIO, name: str) -> Pieces:
        """Yield the turns of traces that are complete; the others at `end`."""
        for item in objects(stream, name, "object", EXPECTED):
            if isinstance(item, Noted | Refused):
                yield item
                continue
            where, line = item
            for number, span in enumerate(spans_of(line), 1):
                if span is None:
                    yield Refused(where, f"is no span and no event; expected {EXPECTED}")
                else:
                    yield from self._span(where if number == 1 else f"{where}, span {number}", span)

    def end(self) -> Pieces:
        """Complete all traces."""
        while self._traces:
            yield from self._complete(*self._traces.popitem(last=False))

    def _span(self, where: str, span: Span) -> Pieces:
        if not span.trace_id:
            self._lone += 1
        trace = self._traces.setdefault(span.trace_id or f"{where}\0{self._lone}", Trace())
        if span.span_id and not span.is_log:
            trace.parents[span.span_id] = span.parent_id
        key = span.span_id or ("log" if span.is_log and span.trace_id else "")
        earlier = trace.by_span.get(key) if key else None
        if earlier is not None and not (span.is_log or earlier.is_log):
            yield Skipped("duplicate")
            return
        if earlier is not None:
            _merge(earlier, span)
            span = earlier
            trace.calls = [call for call in trace.calls if call.span is not span]
        elif key:
            trace.by_span[key] = span
        exchange = exchange_of(span)
        if exchange.problem is not None:
            yield Refused(where, f"{exchange.problem}; expected {EXPECTED}")
        elif not exchange.input and not exchange.output:
            yield from [] if span.is_log else [Noted("span without messages")]
        else:
            asks = [index for index, message in enumerate(exchange.input) if _is_ask(message)]
            if asks:
                trace.calls.append(Call(where, span, exchange, asks[-1], len(asks)))
            elif not span.is_log:
                yield Noted("reply without a prompt")
        while len(self._traces) > MAX_TRACES:
            yield from self._complete(*self._traces.popitem(last=False))

    def _complete(self, trace_id: str, trace: Trace) -> Pieces:
        """Make the turns of a trace: calls in the order they began, each with those that go on with its prompt."""
        calls = sorted(trace.calls, key=lambda call: call.span.start_ts if call.span.start_ts is not None else -1.0)
        turns: list[list[Call]] = []
        for call in calls:
            same = [turn for turn in turns if turn[0].prompt == call.prompt and turn[0].asks == call.asks]
            goes_on = [turn for turn in same if not call.is_fresh or any(_nested(trace, one, call) for one in turn)]
            if goes_on:
                goes_on[-1].append(call)
            else:
                turns.append([call])
        for turn in turns:
            yield from self._turn(trace_id, turn)

    def _turn(self, trace_id: str, calls: list[Call]) -> Pieces:
        first = calls[0]
        replies: list[str] = []
        noted: list[str] = []
        for call in calls:
            noted += [part for message in call.exchange.output for part in message.other_parts]
            for text in _answers(call.exchange.output):
                if text not in replies:
                    replies.append(text)
        history = [m for m in first.exchange.input if m.role in ("user", "assistant")][:-1] if first.is_fresh else []
        noted += ["earlier message"] * len(history) + ["system"] * sum(m.role == "system" for m in first.exchange.input)
        yield from map(Noted, noted + first.exchange.input[first.ask].other_parts)
        attributes = {key: value for call in reversed(calls) for key, value in call.span.attributes.items()}
        opened = first.span.start_ts
        if opened is None:
            yield Noted("time missing")
            opened = self._last_ts
        self._last_ts = opened
        ends = [call.span.end_ts for call in calls if call.span.end_ts is not None]
        known = "\0" not in trace_id
        session = _first(attributes, _SESSIONS) or (trace_id if known else "otel")
        identity = _first(attributes, _IDENTITIES)
        named = first.span.span_id or f"{first.where}\0{first.prompt}"
        yield Turn(
            first.where,
            f"{trace_id if known else session}\0{named}",
            session,
            first.prompt,
            "\n\n".join(replies),
            opened,
            max([opened, *ends]),
            _first(attributes, ("gen_ai.response.model", "gen_ai.request.model")),
            identity if identity is not None and len(identity) <= MAX_IDENTITY else None,
        )


def _merge(earlier: Span, later: Span) -> None:
    """Put what a span and the log records of it hold into one; what a span says of itself wins."""
    span, log = (later, earlier) if earlier.is_log else (earlier, later)
    earlier.attributes = log.attributes | span.attributes
    earlier.events = earlier.events + later.events
    if not span.is_log:
        earlier.start_ts, earlier.end_ts, earlier.parent_id = span.start_ts, span.end_ts, span.parent_id
        earlier.is_log = False
    elif later.end_ts is not None:
        earlier.end_ts = max(earlier.end_ts or 0.0, later.end_ts)


def _answers(output: list[Message]) -> list[str]:
    """The texts of an output; of several choices the first, as clients show it."""
    return [message.text for message in output if message.role == "assistant" and message.text.strip()][:1]


def _is_ask(message: Message) -> bool:
    """Whether the user asked something: some instrumentations write a tool's result in the user's name."""
    return message.role == "user" and not (message.text == "" and "tool result" in message.other_parts)


def _nested(trace: Trace, one: Call, other: Call) -> bool:
    """Whether one call's span lies around the other's."""
    return any(_is_above(trace, a.span.span_id, b.span.span_id) for a, b in ((one, other), (other, one)))


def _is_above(trace: Trace, above: str, below: str) -> bool:
    passed: set[str] = set()
    at = trace.parents.get(below, "")
    while at and at not in passed:
        if at == above:
            return True
        passed.add(at)
        at = trace.parents.get(at, "")
    return False


def _first(attributes: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((text for key in keys if (text := text_or_none(attributes.get(key)))), None)
