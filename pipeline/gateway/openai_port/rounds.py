"""What a watch has seen of a turn, as the endpoint takes it: replies of the model in order, calls, decisions. Pure.

A round is one reply to a request for the answer; verdicts' replies are none. Rounds count from 1 in the order in which
Kafka has them, which is not the model step: a step that is asked again after a veto is a round of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.gateway.openai.port import (
    Decided,
    PassedCall,
    Replied,
    ReplyCall,
    TextChunk,
    TurnEvent,
    Usage,
)
from endocrine.pipeline.gateway.watch import ReceivedRecord, Watch

Json = dict[str, Any]
_VERDICTS = ("/guardian", "/moderation")
_NAME_CHARS = 256


def is_answer(request_id: str) -> bool:
    """Return whether a request is for the answer, and not for a verdict on it."""
    return not request_id.endswith(_VERDICTS)


def request_of(call_id: str) -> str:
    """Return the request whose reply made a call; empty where the id is not ours."""
    return call_id.rpartition("/call-")[0]


def usage_of(value: Json | None) -> Usage:
    """Return the tokens of a record; none where it names none."""
    return Usage() if value is None else Usage(value["input_tokens"], value["output_tokens"])


@dataclass
class Rounds:
    """The rounds of one turn, read from its watch again and again; `news` gives each thing once.

    observed: the turn is observed. declared: functions of the application. after: a request id; that round and those
    before it are over, and count on from `first`.
    """

    watch: Watch
    policy: Policy
    observed: bool
    declared: frozenset[str] = frozenset()
    after: str | None = None
    first: int = 1
    _chunks: dict[str, int] = field(default_factory=dict)
    _replied: set[str] = field(default_factory=set)
    _decided: set[tuple[str, str]] = field(default_factory=set)
    _restarted: set[str] = field(default_factory=set)

    def requests(self) -> list[ReceivedRecord]:
        """Return the requests for the answer that are not over, oldest first."""
        return [seen for _, seen in self._current(self.watch.requests)]

    def replies(self) -> list[tuple[int, str, ReceivedRecord]]:
        """Return (round, request id, reply) of those that are not over, oldest first."""
        found = self._current(self.watch.replies)
        return [(number, request_id, seen) for number, (request_id, seen) in enumerate(found, self.first)]

    def news(self) -> Iterator[TurnEvent]:
        """Return what has come since the last call: of each round its text, its reply, its decisions."""
        rounds = self.replies()
        for _, request_id, _ in rounds:
            yield from self._text(request_id)
        for request_id in self.watch.chunks:
            if request_id not in self._replied and request_id not in self.watch.replies:
                yield from self._text(request_id)
        for number, request_id, seen in rounds:
            if request_id not in self._replied:
                self._replied.add(request_id)
                calls = tuple(call for call, _ in self.calls(request_id, seen))
                content = seen.value["content"]
                yield Replied(request_id, number, content, calls, usage_of(seen.value.get("usage")))
            yield from self._decisions(request_id, seen)

    def calls(self, request_id: str, reply: ReceivedRecord) -> list[tuple[ReplyCall, Decided | None]]:
        """Return the calls of a reply under the ids that the conversation agent gives them, each with its decision so
        far.
        """
        document = self.policy.document
        most_own, own = document.conversation.limits.calls_per_step, 0
        found: list[tuple[ReplyCall, Decided | None]] = []
        asked_calls = reply.value["tool_calls"] if reply.value["status"] == "ok" else []
        for number, asked in enumerate(asked_calls[: document.models.bounds.calls], 1):
            name = asked["tool"][:_NAME_CHARS]
            theirs = name in self.declared or (self.observed and name not in document.tools.by_function)
            own += not theirs
            call = ReplyCall(f"{request_id}/call-{number}", name, asked["arguments"])
            if self.declared and not theirs and own > most_own:  # the agent does not even ask for these
                found.append((call, Decided(call.call_id, "denied", "not_run")))
            else:
                found.append((call, self._decision(call)))
        return found

    def undecided(self) -> bool:
        """Return whether a call of the latest reply has no decision, not even that a person must agree."""
        rounds = self.replies()
        return bool(rounds) and any(decided is None for _, decided in self.calls(*rounds[-1][1:]))

    def passed(self) -> list[PassedCall]:
        """Return the calls that go, or went, to the application."""
        return [
            PassedCall(call.call_id, call.name, call.arguments, number)
            for number, request_id, seen in self.replies()
            for call, decided in self.calls(request_id, seen)
            if decided is not None and decided.application and (self.observed or decided.decision == "allowed")
        ]

    def denials(self) -> bool:
        """Return whether a call was denied."""
        return any(seen.value["decision"] == "denied" for seen in self.watch.decisions.values())

    # ---- parts ----

    def _current(self, by_request: dict[str, ReceivedRecord]) -> list[tuple[str, ReceivedRecord]]:
        found = sorted(
            ((name, seen) for name, seen in by_request.items() if is_answer(name)), key=lambda one: one[1].appended
        )
        names = [name for name, _ in found]
        return found[names.index(self.after) + 1 :] if self.after in names else found

    def _text(self, request_id: str) -> Iterator[TurnEvent]:
        chunks = self.watch.chunks.get(request_id, {})
        if request_id in self.watch.restarted and request_id not in self._restarted:
            self._restarted.add(request_id)
            yield TextChunk(request_id, 0, chunks[0])
        while (seq := self._chunks.get(request_id, 0)) in chunks:
            self._chunks[request_id] = seq + 1
            yield TextChunk(request_id, seq, chunks[seq])

    def _decisions(self, request_id: str, reply: ReceivedRecord) -> Iterator[TurnEvent]:
        for call, decided in self.calls(request_id, reply):
            if decided is not None and (call.call_id, decided.decision) not in self._decided:
                self._decided.add((call.call_id, decided.decision))
                yield decided

    def _decision(self, call: ReplyCall) -> Decided | None:
        """The decision on this very call: one under its id on other arguments, or of another name, is about another."""
        arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
        _, digest = judged_arguments(arguments, self.policy.document.gating)
        seen = self.watch.decision(call.call_id, digest) or self.watch.decision(call.call_id, None)
        if seen is None or seen.value["function"] != call.name:
            return None
        value = seen.value
        theirs = value.get("runner") == "application"
        if self.observed and value["decision"] == "denied" and value["tool"] is None:
            theirs = True
        return Decided(call.call_id, value["decision"], value["reason"], theirs, value.get("arguments_digest"))
