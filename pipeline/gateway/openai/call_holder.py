"""Which tool calls of a model's reply may pass: none until all are decided, and then only those that are allowed.

A pure state machine over a reply and the decisions on its calls, which arrive in any order, before the reply too, and
more than once. It fails closed: a call that was ever denied stays denied, an allowed one passes only with the
arguments that were checked, and our own tools never pass.
"""

from dataclasses import dataclass, replace
from typing import Literal

from endocrine.pipeline.gateway.openai.conversation import arguments_digest
from endocrine.pipeline.gateway.openai.port import Decided, Replied, ReplyCall

MAX_EARLY = 1024
"""Decisions that are kept before their reply arrives."""


@dataclass(frozen=True)
class CallHolder:
    """The calls of the latest reply, and what was decided. enforce: False passes every call of the application."""

    enforce: bool = True
    reply: Replied | None = None
    decisions: tuple[tuple[str, Decided], ...] = ()

    def replied(self, reply: Replied) -> "CallHolder":
        """Take a reply; an earlier one, or a copy, changes nothing."""
        if self.reply is not None and reply.step <= self.reply.step:
            return self
        return replace(self, reply=reply)

    def decided(self, decision: Decided) -> "CallHolder":
        """Take a decision. Pending gives way to either other; denied gives way to none."""
        known = dict(self.decisions)
        before = known.get(decision.call_id)
        if before is None and len(known) >= MAX_EARLY:
            return self
        if before is not None and (before.decision == "denied" or decision.decision == "pending"):
            return self
        known[decision.call_id] = decision
        return replace(self, decisions=tuple(known.items()))

    @property
    def state(self) -> Literal["no_calls", "waiting", "all_denied", "own_only", "passes"]:
        """What becomes of the reply. own_only: allowed calls are all ours, and run inside the turn."""
        if self.reply is None or not self.reply.calls:
            return "no_calls"
        known = dict(self.decisions)
        found = [known.get(call.call_id) for call in self.reply.calls]
        if any(one is None or one.decision == "pending" for one in found):
            return "waiting"
        if self.passed():
            return "passes"
        return "own_only" if any(one is not None and one.decision == "allowed" for one in found) else "all_denied"

    def passed(self) -> tuple[ReplyCall, ...]:
        """Return the calls that go to the application, in the reply's order; none while one is undecided."""
        if self.reply is None:
            return ()
        known = dict(self.decisions)
        if any(call.call_id not in known or known[call.call_id].decision == "pending" for call in self.reply.calls):
            return ()
        return tuple(call for call in self.reply.calls if self._passes(call, known[call.call_id]))

    def denials(self) -> dict[str, int]:
        """Return the calls of the reply that were denied, by reason: no name, no id, no argument."""
        known = dict(self.decisions)
        counts: dict[str, int] = {}
        for call in self.reply.calls if self.reply is not None else ():
            one = known.get(call.call_id)
            if one is not None and one.decision == "denied":
                counts[one.reason or "denied"] = counts.get(one.reason or "denied", 0) + 1
        return dict(sorted(counts.items()))

    def _passes(self, call: ReplyCall, decision: Decided) -> bool:
        if not decision.application:
            return False
        if not self.enforce:
            return True
        return decision.decision == "allowed" and decision.arguments_digest == arguments_digest(call.arguments)
